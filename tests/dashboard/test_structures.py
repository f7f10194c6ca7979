"""Structures on the dashboard: found, explained, drawn, taken away, never markup."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from dashboard.access.roles import Role
from dashboard.pages.structure import atoms_to_view
from dashboard.pages.structures import read_filter
from fire_core.campaign.views.geometry import describe_geometry
from fire_core.labelling.triage import FIXES
from fire_core.records import FailureKind
from fire_core.storage.selections import SelectionRow
from tests.dashboard.lab import EVIL, Browser, Lab, build, enter, words
from tests.storage.conftest import make_frames

if TYPE_CHECKING:
    from pathlib import Path


THEORY = "theory-1"
TEST_ENERGY = 1e-9  # meV/atom
CIF_LENGTH = 1e-3  # Å; the file has six digits of a fraction


# --- the list ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("formula", "Qq2", "formula: expected one such as"),
        ("formula", "<b>", "formula: expected one such as"),
        ("elements", "Li, Xy", "elements: expected symbols"),
        ("least", "-2", "atoms from: expected a whole number"),
        ("least", "2.5", "atoms from: expected a whole number"),
        ("most", "99999999999999999999", "atoms to: expected a whole number"),
        ("most", "²", "atoms to: expected a whole number"),
        ("state", "broken", "label: expected one of wanted"),
        ("campaign", "a\0b", "campaign: expected at most"),
        ("theory", "x" * 300, "theory: expected at most"),
    ],
)
def test_a_filter_that_is_none_is_told_and_kept(
    viewer: Browser, field: str, text: str, told: str
) -> None:
    given = {"elements": "Li", field: text}
    page = viewer.get("/structures", params=given)
    assert page.status_code == httpx.codes.OK
    assert told in words(page)
    if field in {"formula", "elements", "least", "most"}:
        assert text in [unescape(v) for v in re.findall(r'value="([^"]*)"', page.text)]
    if field != "elements":
        assert 'value="Li"' in page.text  # what was right is still in the form
    assert "<b>" not in page.text


def test_an_empty_range_is_told() -> None:
    _, problems = read_filter({"least": "9", "most": "3"})
    assert problems == ["atoms: from 9 to 3 is empty; swap the two"]


@pytest.mark.parametrize("text", ["Li4Cl4", "Cl4Li4", "(LiCl)4", "LiClLi3Cl3"])
def test_a_formula_is_found_however_it_is_written(viewer: Browser, text: str) -> None:
    page = viewer.get("/structures", params={"formula": text})
    assert page.text.count('<th scope="row">') == 12


def test_a_mark_of_no_page_is_told(viewer: Browser) -> None:
    for mark in ("x", "1.5_zz", "nan_" + "0" * 64, "1.0"):
        assert "no place in the list" in viewer.get(f"/structures?after={mark}").text


def test_older_leads_through_all_structures(tmp_path: Path) -> None:
    lab = build(tmp_path)
    with lab.store() as opened:
        opened.structures.add(make_frames(130, seed=7), source="many")
        total = opened.structures.count()
    browser, path = enter(lab, Role.VIEWER), "/structures?elements=Li&most=8"
    seen: list[str] = []
    while path:
        page = browser.get(path)
        rows = re.findall(r'href="/structures/([0-9a-f]{64})"', page.text)
        assert len(rows) <= 50
        seen += rows
        following = re.search(r'href="([^"]*)" rel="next"', page.text)
        path = unescape(following[1]) if following else ""
    assert len(seen) == len(set(seen)) == total


def test_the_select_leads_to_a_map(viewer: Browser) -> None:
    page = viewer.get("/structures")
    assert 'value="1 salt"' in page.text
    answer = viewer.get("/map?of=1%20salt")
    assert answer.headers["location"] == "/map/salt/1"
    elsewhere = viewer.get("/map?of=1%20%2F%2Fevil").headers["location"]
    assert elsewhere == "/map/%2F%2Fevil/1"
    assert viewer.get("/map?of=salt").status_code == httpx.codes.NOT_FOUND


# --- one structure ----------------------------------------------------------------


def test_a_structure_says_where_it_came_from_and_why(viewer: Browser, lab: Lab) -> None:
    key = lab.chosen("selected")[1]
    text = words(viewer.get(f"/structures/{key}"))
    assert key in text
    assert "explore of round 1" in text
    assert "selected , number 2 by kmeans" in text
    assert "cluster 1 (at 0.100) and stands for 2 candidates" in text
    with lab.store() as opened:
        label = opened.labels.get([key], THEORY)[key]
    assert f"{label.energy:.6f} eV" in text
    assert f"{np.linalg.norm(label.forces, axis=1).max():.4f} eV/Å" in text
    assert '"cutoff_ev": 400' in text
    assert "0.0100 core-hours" in text


def test_a_failure_says_its_remedy_and_its_log(viewer: Browser, lab: Lab) -> None:
    with lab.store() as opened:
        failed = opened.labels.failed(THEORY)[0].key
    page = viewer.get(f"/structures/{failed}")
    assert FIXES[FailureKind.CRASHED] in words(page)
    assert "broke &lt;img" in page.text
    assert "log &lt;img" in page.text


@pytest.mark.parametrize("kind", ["failed", "selected", "start"])
def test_no_source_or_reason_becomes_markup(
    viewer: Browser, lab: Lab, kind: str
) -> None:
    key = (
        lab.chosen(kind, 0 if kind == "start" else 1)[0]
        if kind != "failed"
        else next(iter(lab.store().labels.failed(THEORY))).key
    )
    for path in ("/structures", f"/structures/{key}", "/map/salt/1"):
        page = viewer.get(path)
        assert page.status_code == httpx.codes.OK
        assert EVIL not in page.text


def test_a_campaign_of_a_wild_name_stays_text(tmp_path: Path) -> None:
    lab = build(tmp_path)
    with lab.store() as opened:
        opened.campaigns.open(EVIL, "{}")
        keys = opened.structures.add(make_frames(1, seed=3), source='"><script>')
        opened.selections.save(EVIL, 1, "selected", SelectionRow(EVIL[:32], keys))
    browser = enter(lab, Role.VIEWER)
    for path in ("/structures", f"/structures/{keys[0]}"):
        page = browser.get(path)
        assert page.status_code == httpx.codes.OK
        assert EVIL[:32] not in page.text
        assert '"><script>' not in page.text
    page = browser.get("/map/%3Cimg%20src=x%20onerror=alert(1)%3E/1")
    assert page.status_code == httpx.codes.OK
    assert "<img src" not in page.text


@pytest.mark.parametrize("suffix", ["", ".extxyz", ".cif", "/chemiscope.json"])
@pytest.mark.parametrize("key", ["f" * 64, "zebra", "F00D" * 4, "abc", "f" * 65])
def test_an_unknown_key_is_not_found(viewer: Browser, key: str, suffix: str) -> None:
    page = viewer.get(f"/structures/{key}{suffix}")
    assert page.status_code == httpx.codes.NOT_FOUND
    assert "key" in page.text or "no structure" in page.text
    assert "<h1>" in page.text


def test_the_beginning_of_a_key_is_enough(viewer: Browser, lab: Lab) -> None:
    key = lab.facts["structure"]
    assert key in viewer.get(f"/structures/{key[:12]}").text


@pytest.mark.parametrize("path", ["/structures", "/structures/{}", "/map/salt/1",
                                  "/structures/{}.extxyz", "/map/salt/1/points.json",
                                  "/structures/{}/chemiscope.json"])  # fmt: skip
def test_a_stranger_gets_no_structure(lab: Lab, path: str) -> None:
    stranger = Browser(lab.app)
    answer = stranger.get(path.format(lab.facts["structure"]))
    assert answer.status_code == httpx.codes.SEE_OTHER
    assert answer.headers["location"] == "/login"


# --- what it is -------------------------------------------------------------------


def test_geometry_of_rock_salt_is_known() -> None:
    facts = describe_geometry(bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    assert facts.lengths == pytest.approx((5.64, 5.64, 5.64))
    assert facts.volume == pytest.approx(5.64**3)
    assert facts.shortest == pytest.approx(5.64 / 2)
    assert facts.pair == "Cl–Na"
    # 4 formula units of 58.443 g/mol: 2.16 g/cm³, as in tables.
    assert facts.density == pytest.approx(4 * 58.443 / 0.602214 / 5.64**3, rel=1e-4)


def test_geometry_without_a_cell_or_a_neighbour() -> None:
    facts = describe_geometry(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]))
    assert (facts.lengths, facts.volume, facts.density) == (None, None, None)
    assert facts.shortest == pytest.approx(0.74)
    assert describe_geometry(Atoms("H")).shortest is None
    slab = bulk("Cu", cubic=True)
    slab.pbc = (True, True, False)
    assert describe_geometry(slab).density is None
    # A lone atom's nearest neighbour is its own image.
    assert describe_geometry(bulk("Cu", a=3.6)).shortest == pytest.approx(3.6 / 2**0.5)


def test_a_view_is_folded_and_keeps_every_distance() -> None:
    atoms = make_frames(1)[0]
    moved = atoms.copy()
    moved.positions += 40.0
    view = atoms_to_view(moved)
    drawn = Atoms(
        view["names"],
        np.transpose([view["x"], view["y"], view["z"]]),
        cell=np.reshape(view["cell"], (3, 3)),
        pbc=True,
    )
    assert np.all(drawn.get_scaled_positions(wrap=False) > -1e-6)
    assert np.all(drawn.get_scaled_positions(wrap=False) < 1 + 1e-6)
    np.testing.assert_allclose(
        drawn.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-3
    )
    np.testing.assert_array_equal(moved.positions, atoms.positions + 40.0)
    assert "cell" not in atoms_to_view(Atoms("H"))
