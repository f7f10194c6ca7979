"""The map of candidates, errors on single structures, and files to take away."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read

from dashboard.access.roles import Role
from dashboard.pages.structure_map import points_to_view, shown_points
from fire_core.campaign.choices import read_choice
from fire_core.campaign.kinds import JUDGEMENT, EnergyConservation, Judgement
from fire_core.campaign.views.candidate_map import CandidateMap, explain_pick, read_map
from fire_core.campaign.views.geometry import describe_geometry
from fire_core.campaign.views.structure_errors import errors_on
from fire_core.records import ErrorSummary, Frame, FrameTag, Label, Pick
from fire_core.storage.selections import SelectionRow
from fire_core.structures.content import structure_key
from tests.dashboard.lab import Browser, Lab, build, enter, words
from tests.storage.conftest import make_frames

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fire_core.storage.store import Store

THEORY = "theory-1"
TEST_ENERGY = 1e-9  # meV/atom
CIF_LENGTH = 1e-3  # Å; the file has six digits of a fraction


# --- errors of models -------------------------------------------------------------


def judge(
    store: Store, keys: list[str], *, with_keys: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[int]]:
    """Label test structures, and keep a judgement of them; return what it is of."""
    rng = np.random.default_rng(5)
    sizes = [len(atoms) for atoms in store.structures.get(keys)]
    labels = {
        key: Label(-3.0 * n, rng.normal(size=(n, 3)))
        for key, n in zip(keys, sizes, strict=True)
    }
    store.labels.add(labels, THEORY)
    store.selections.save("salt", 1, "test", SelectionRow("even", keys))
    errors = [0.05 * rng.normal(size=(n, 3)) for n in sizes]
    shifts = rng.normal(scale=0.01, size=len(keys))
    reference = np.concatenate([labels[key].forces.ravel() for key in keys])
    arrays: dict[str, Any] = {
        "forces": reference + np.concatenate([e.ravel() for e in errors]),
        "forces_reference": reference,
        "energies": np.full(len(keys), -3.0) + shifts,
        "energies_reference": np.full(len(keys), -3.0),
    }
    if with_keys:
        arrays |= {"keys": np.array(keys), "n_atoms": np.array(sizes)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    summary = ErrorSummary(1, 8, 1.0, 1.0, 10.0, 8.0, 20.0)
    stability = EnergyConservation(0.1, completed=True)
    blob = store.blobs.put_bytes(buffer.getvalue())
    judged = Judgement(summary, summary, stability, blob)
    store.evaluations.save(JUDGEMENT, "salt", judged, round_=1, subject="fire")
    rmse = np.array([1000 * np.sqrt(np.mean(e**2)) for e in errors])
    return rmse, 1000 * shifts, sizes


@pytest.mark.parametrize("with_keys", [True, False])
def test_errors_are_those_of_the_very_structure(
    store: Store, *, with_keys: bool
) -> None:
    frames = [
        *make_frames(3),
        bulk("NaCl", "rocksalt", a=5.64),
        bulk("Li"),
        *make_frames(2, seed=9),
    ]
    keys = store.structures.add(frames, source="test")
    rmse, shifts, _ = judge(store, keys, with_keys=with_keys)
    for number, key in enumerate(keys):
        (error,) = errors_on(store, key, [("salt", 1)], [THEORY])
        assert error.model == "fire"
        assert error.force_rmse == pytest.approx(rmse[number])
        assert error.energy_error == pytest.approx(shifts[number], abs=TEST_ENERGY)


def test_numbers_of_other_labels_are_nobodys(store: Store) -> None:
    keys = store.structures.add(make_frames(4), source="test")
    judge(store, keys, with_keys=False)
    more = store.structures.add(make_frames(1, seed=4), source="later")
    store.labels.add({more[0]: Label(-1.0, np.zeros((8, 3)))}, THEORY)
    assert len(errors_on(store, keys[0], [("salt", 1)], [THEORY])) == 1
    assert errors_on(store, more[0], [("salt", 1)], [THEORY]) == []
    assert errors_on(store, keys[0], [("salt", 2)], [THEORY]) == []
    assert errors_on(store, keys[0], [("salt", 1)], ["another"]) == []


# --- the map ----------------------------------------------------------------------


def explore(store: Store, n: int, picked: list[int], refused: list[int]) -> list[str]:
    """Keep a run, its choice and its map as `tasks.select` does; return kept keys."""
    sha = store.blobs.put_bytes(b"weights")
    run = store.runs.open("salt", 1, "explore", sha, "{}")
    frames = [
        Frame(a, FrameTag(sha, i % 2, 300.0 + 10 * (i % 2), i), -1.0)
        for i, a in enumerate(make_frames(n))
    ]
    store.runs.save_segment(run, 0, frames, b"state", [])
    rows = store.runs.frames(run)
    flags = {rows[i].key: ["too_close", "x"] for i in refused}
    kept = [row for row in rows if row.key not in flags]
    late = next(i for i in range(len(kept)) if i not in picked)
    flags[kept[late].key] = ["large_force", "found after the map was drawn"]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        coordinates=np.arange(2.0 * len(kept)).reshape(-1, 2).astype(np.float32),
        temperatures=np.array([row.temperature for row in kept]),
        picked=np.array(picked),
    )
    reasons = [
        {"key": kept[i].key, "replica": kept[i].replica, "step": kept[i].step,
         "temperature": kept[i].temperature, "rank": rank, "cluster": 5 + rank,
         "cluster_size": 3, "centre_distance": 0.5, "labelled_distance": 1.25,
         "q_ratio": 2.0}
        for rank, i in enumerate(picked)
    ]  # fmt: skip
    cover = {"mean": 0.2, "percentile_95": 0.4, "largest": 0.6}
    example = {k: reasons[0][k] for k in ("key", "replica", "step", "temperature")}
    meta = {
        "candidates": n,
        "refused": {"too_close": len(refused)},
        "refused_blob": store.blobs.put_bytes(json.dumps(flags).encode()),
        "explained_variance": [0.6, 0.2],
        "map_blob": store.blobs.put_bytes(buffer.getvalue()),
        "explanation": {
            "unit": 1.0, "q_limit": 1.0, "before": None, "after": cover,
            "picks": reasons,
            "regions": [{"example": example, "distance": 0.6, "candidates": 4,
                         "temperatures": [300.0, 310.0]}],
        },
        "q_alarm": {"limit": 1.0, "share": 0.3, "expected": 0.01, "rings": True,
                    "worst": 0},
    }  # fmt: skip
    keys = [kept[i].key for i in picked]
    picks = [Pick(i, rank, 5 + rank, 3, 0.5) for rank, i in enumerate(picked)]
    row = SelectionRow("kmeans", keys, picks, json.dumps(meta))
    store.selections.save("salt", 1, "selected", row)
    return [row.key for row in kept]


def test_points_are_the_frames_that_screening_kept(store: Store) -> None:
    kept = explore(store, 20, [7, 2, 11], refused=[0, 5])
    drawn, choice = read_map(store, "salt", 1), read_choice(store, "salt", 1)
    assert drawn is not None
    assert choice is not None
    assert [frame.key for frame in drawn.frames] == kept
    view = points_to_view("salt", drawn, choice)
    assert [kept.index(next(k for k in kept if k.startswith(short)))
            for short in view["keys"][-3:]] == [7, 2, 11]  # fmt: skip
    of = {name: found["values"] for name, found in view["properties"].items()}
    assert len(view["keys"]) == len(kept) == len(of["PC1"]) == 18
    assert of["choice"] == 15 * ["candidate"] + 3 * ["picked"]
    assert of["cluster"] == 15 * [None] + [5, 6, 7]
    assert of["distance to labelled"][-1] == 1.25
    assert of["Q ratio"][:15] == 15 * [None]
    assert of["PC1"][-3:] == [14.0, 4.0, 22.0]  # even numbers by position
    assert view["first"] == 15


def test_a_run_that_is_not_the_map_leaves_the_picks(store: Store) -> None:
    kept = explore(store, 12, [3, 1], refused=[])
    drawn = read_map(store, "salt", 1)
    choice = read_choice(store, "salt", 1)
    assert drawn is not None
    assert choice is not None
    alone = CandidateMap(
        drawn.coordinates, drawn.temperatures, drawn.picked, [], drawn.explained
    )
    view = points_to_view("salt", alone, choice)
    assert view["keys"] == [kept[3][:16], kept[1][:16]]
    assert view["properties"]["PC1"]["values"] == [6.0, 2.0]


@pytest.mark.parametrize(("n", "most"), [(100, 100), (1000, 300), (5000, 299)])
def test_thinning_keeps_every_pick_and_spreads_the_rest(n: int, most: int) -> None:
    picked = [n - 1, 17, 0, 40]
    drawn = CandidateMap(
        np.zeros((n, 2)),
        np.zeros(n),
        picked,
        [object()] * n,
        (0.5, 0.2),  # type: ignore[list-item]
    )
    shown = shown_points(drawn, most).tolist()
    assert len(shown) == len(set(shown)) == min(n, most)
    assert shown[-4:] == picked
    gaps = np.diff(shown[:-4])
    assert gaps.max() <= np.ceil(n / (most - 4)) + 2


def test_a_pick_is_explained_and_others_are_not(store: Store) -> None:
    kept = explore(store, 12, [3, 1], refused=[])
    why = explain_pick(store, "salt", 1, kept[1])
    assert why is not None
    assert (why.rank, why.cluster, why.q_ratio) == (1, 6, 2.0)
    assert explain_pick(store, "salt", 1, kept[0]) is None
    assert explain_pick(store, "salt", 2, kept[1]) is None


def test_the_map_says_alarm_regions_and_reasons(tmp_path: Path) -> None:
    lab = build(tmp_path)
    with lab.store() as opened:
        opened.campaigns.open("salt-2", "{}")
    browser = enter(lab, Role.VIEWER)
    old = words(browser.get("/map/salt/1"))  # of a FIRE that kept no explanation
    assert "3 of 3 candidates picked by kmeans" in old
    assert "Under-sampled" not in old
    assert browser.get("/map/salt/9").status_code == httpx.codes.NOT_FOUND
    assert browser.get("/map/salt-2/1").status_code == httpx.codes.NOT_FOUND
    points = browser.get("/map/salt/1/points.json").json()
    assert len(points["keys"]) == 3
    assert points["properties"]["PC1"]["description"] == "60 % of the variance"


def test_an_alarm_is_told(tmp_path: Path) -> None:
    lab = build(tmp_path)
    with lab.store() as opened:
        row = opened.selections.get("salt", 1, "selected")
        assert row is not None
        meta = json.loads(row.meta_json) | {
            "q_alarm": {"limit": 1.0, "share": 0.3, "expected": 0.01, "rings": True,
                        "worst": 0}
        }  # fmt: skip
        new = SelectionRow("kmeans", row.keys, row.picks, json.dumps(meta))
        opened.selections.save("salt", 2, "selected", new)
    text = words(enter(lab, Role.VIEWER).get("/map/salt/2"))
    assert "Q-residual alarm: 30.0 % of the candidates" in text
    assert "can no longer tell which frame each point is" in text


# --- files ------------------------------------------------------------------------


def test_a_file_restores_structure_and_label(viewer: Browser, lab: Lab) -> None:
    key = lab.facts["structure"]
    answer = viewer.get(f"/structures/{key[:12]}.extxyz")
    found = read(io.StringIO(answer.text), format="extxyz")
    with lab.store() as opened:
        label = opened.labels.get([key], THEORY)[key]
    assert structure_key(found) == key
    assert found.get_potential_energy() == label.energy
    np.testing.assert_array_equal(found.get_forces(), label.forces)
    name = answer.headers["content-disposition"]
    assert name == f'attachment; filename="{key}.extxyz"'
    assert viewer.get(f"/structures/{key}.extxyz?theory=none").status_code == 404


def test_a_file_without_a_label_restores_the_structure(
    viewer: Browser, lab: Lab
) -> None:
    with lab.store() as opened:
        key = opened.labels.failed(THEORY)[0].key
    found = read(
        io.StringIO(viewer.get(f"/structures/{key}.extxyz").text), format="extxyz"
    )
    assert structure_key(found) == key
    assert found.calc is None


def test_a_cif_has_the_cell_and_the_contacts(viewer: Browser, lab: Lab) -> None:
    key = lab.facts["structure"]
    found = read(io.StringIO(viewer.get(f"/structures/{key}.cif").text), format="cif")
    with lab.store() as opened:
        atoms = opened.structures.get([key])[0]
    assert found.get_chemical_formula() == atoms.get_chemical_formula()
    assert found.cell.volume == pytest.approx(atoms.cell.volume)
    assert describe_geometry(found).shortest == pytest.approx(
        describe_geometry(atoms).shortest, abs=CIF_LENGTH
    )


def test_the_picks_come_with_their_labels(viewer: Browser, lab: Lab) -> None:
    answer = viewer.get("/map/salt/1/picks.extxyz")
    found = read(io.StringIO(answer.text), index=":", format="extxyz")
    assert [structure_key(atoms) for atoms in found] == lab.chosen("selected")
    assert "salt-round-1-picks.extxyz" in answer.headers["content-disposition"]
    assert viewer.get("/map/salt/8/picks.extxyz").status_code == 404


def test_a_wild_name_makes_a_tame_file_name(tmp_path: Path) -> None:
    lab = build(tmp_path)
    wild = 'a"; filename="x\r\nSet-Cookie: y=1'
    with lab.store() as opened:
        opened.campaigns.open(wild, "{}")
        keys = opened.labels.labelled_keys(THEORY)[:2]
        opened.selections.save(wild, 1, "selected", SelectionRow("kmeans", keys))
    path = f"/map/{quote(wild, safe='')}/1/picks.extxyz"
    answer = enter(lab, Role.VIEWER).get(path)
    assert answer.status_code == httpx.codes.OK
    name = answer.headers["content-disposition"]
    assert re.fullmatch(r'attachment; filename="[A-Za-z0-9_.-]+"', name)
    assert "y" not in answer.cookies


def test_a_structure_without_a_cell_has_no_cif(tmp_path: Path) -> None:
    lab = build(tmp_path)
    with lab.store() as opened:
        (key,) = opened.structures.add(
            [Atoms("H2", [[0, 0, 0], [0, 0, 0.7]])], source=""
        )
    browser = enter(lab, Role.VIEWER)
    answer = browser.get(f"/structures/{key}.cif")
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert "no cell" in answer.text
    page = browser.get(f"/structures/{key}")
    assert page.status_code == httpx.codes.OK
    assert ".cif" not in page.text


def test_a_map_of_one_component_has_the_candidates_number_for_its_other_axis(
    viewer: Browser, lab: Lab
) -> None:
    with lab.store() as store:
        drawn, choice = read_map(store, "salt", 1), read_choice(store, "salt", 1)
    assert drawn is not None
    assert choice is not None
    plane = points_to_view("salt", drawn, choice)
    assert plane["axes"] == ["PC1", "PC2"]
    line = replace(drawn, coordinates=drawn.coordinates[:, :1])
    view = points_to_view("salt", line, choice)
    assert view["axes"] == ["PC1", "number"]
    assert "PC2" not in view["properties"]
    shown = shown_points(line).tolist()
    assert view["properties"]["number"]["values"] == shown
    assert "first two principal components" in words(viewer.get("/map/salt/1"))
