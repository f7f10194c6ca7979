"""What was measured before is found again: the same keys, and results that are read."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from fire_core.backbones.assets import manifest
from fire_core.campaign.steps import properties as campaign_properties
from fire_core.campaign.steps.properties import (
    TrajectoryFile,
    analyse_trajectories,
    register_property,
)
from fire_core.properties.identity import Identity, Subject, identify
from fire_core.properties.kinds import KINDS, draw_property
from fire_core.properties.load import parse_property
from fire_core.properties.transport.settings import TransportAnalysis
from fire_core.records import PropertyResult, PropertyValue
from fire_core.storage.properties import PropertyAsked
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

STORED: Final = Path(__file__).parent / "stored"
"""A result of each kind as the store kept it before kinds had folders."""
CRYSTAL: Final = {"kind": "crystal", "crystal": "LiCl"}
KEYS: Final = {
    "elasticity": "90d7670318ee2e79f318c51af1ecb08a2d0b7a202d0eb637cf78a68753da79dc",
    "equation_of_state": "9428f333910643be65d3c7cdfa6a7d6f"
    "8a2b5d59d74ecc7310d7b1bd46cbc70b",
    "phonons": "ca2f5cf435b76bd1a440efe104c84a091b860b05474df55b48016f2cf6352bdd",
    "speed": "3afb5a74d4b5a6c18a6446323c5b648a7327fc401dbd2e8ea747f45cd9115621",
    "structure_check": "7a234d343953eabc962a13c49da76153"
    "ba2078e3728d19049dbf62e0fcb6e622",
    "thermal_elasticity": "60c07142908bba0e7d0be4b867b6a475"
    "431dfc8085613ccc2aa682bec237f18e",
    "transport": "e7602debca97a6aef71cd5ad2b6d3ae03a4716cb0b13de207817fa41805c4a1e",
}
"""Of default settings and the bundled model, as version 0.1 computed them."""
WEIGHTS: Final = "9d4a7369d6103a741e50557751ffff82138f479be463ef5baa40d5e6f445925d"
"""sha256 of the weights that version 0.1 had with it."""
SPECTRUM: Final = "10,500,-20\n1000,480,-90\n100000,100,-30\n"
FRAME: Final = (
    '2\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 pbc="T T T"\n'
    "Li 0 0 0\nCl 2.5 2.5 2.5\n"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/a.db", str(tmp_path / "blobs")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _weights_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Identify the bundled model by its first weights: newer ones measure anew."""

    def identify_first(request: Any, subject: Subject, files: Any) -> Identity:
        if subject.sha == manifest()["model_sha256"]:
            subject = replace(subject, sha=WEIGHTS)
        return identify(request, subject, files)

    monkeypatch.setattr(campaign_properties, "identify", identify_first)


def key_of(folder: Path, measure: dict[str, Any], **more: Any) -> str:
    where = {"url": f"sqlite:///{folder}/a.db", "blobs": str(folder / "blobs")}
    raw = {"name": "a", "measure": measure, "store": where, **more}
    return register_property(parse_property(raw, base=folder)).key


def test_every_kind_has_its_key_of_before(tmp_path: Path) -> None:
    """Another key would measure again what is measured."""
    found = {kind: key_of(tmp_path, {"kind": kind}, system=CRYSTAL) for kind in KEYS}
    assert found == KEYS
    assert {*KEYS, "adhesion", "impedance"} == set(KINDS.builtin)


def test_adhesion_has_its_key_of_before(tmp_path: Path) -> None:
    measure = {"kind": "adhesion", "relax": False, "spacing": 1.0, "farthest": 5.0}
    key = key_of(tmp_path, measure, system={"preset": "licl-gaf3"})
    # of matches that are equal by symmetry rounding chooses: one key on each of two
    # processors
    first, second = (
        "d558165e0142857be50ba07dd6ecead3",
        "b35fd880496f77cc8aa700e17f29a84b",
    )
    assert key.startswith((first, second))


def test_dynamics_have_their_identity_of_before(tmp_path: Path, store: Store) -> None:
    """A longer run goes on with the segments that are there."""
    short = {"temperatures": [300, 500], "replicas": 2, "ps": 0.06}
    short |= {"equilibration_ps": 0.02, "segment_ps": 0.02, "save_every_fs": 4}
    measure = {"kind": "transport", "analysis": {"grid": 2.0}, **short}
    row = store.properties.need(key_of(tmp_path, measure, system=CRYSTAL, threads=1))
    assert row.asked.key.startswith("55a5ce86f63f6a2a9c71926aaae8d3d7")
    assert row.asked.work == (
        "6f43c60dfd9be23229303819a4b0895d228fbb032473d74db6f6b8f079893732"
    )


def test_measurements_of_files_have_their_keys_of_before(tmp_path: Path) -> None:
    (tmp_path / "spectrum.csv").write_text(SPECTRUM)
    (tmp_path / "md.xyz").write_text(FRAME)
    spectrum = {"kind": "impedance", "measured": {"file": "spectrum.csv"}}
    assert key_of(tmp_path, spectrum).startswith("74a20a308467ea4c6239fbd9aeb9955")
    frames = {"kind": "structure_check", "trajectories": ["md.xyz"], "blocks": 2}
    assert key_of(tmp_path, frames).startswith("0cebf1964fb4b87373809738cc6f50a5")


def test_a_spectrum_of_a_measured_conductivity_has_its_key_of_before(
    tmp_path: Path, store: Store
) -> None:
    asked = PropertyAsked(
        *("k" * 64, "li-motion", "k" * 64, "transport", "m", "s", None, "X", "{}")
    )
    store.properties.open(asked)
    store.properties.finish(asked.key, PropertyResult(()), 1.0)
    source = {"source": "transport", "measurement": "li-motion"}
    key = key_of(tmp_path, {"kind": "impedance", "conductivity": source})
    assert key.startswith("920a88d26b0e451875802722cffcd956")


def test_trajectories_of_others_have_their_key_of_before(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Analysed:
        result = PropertyResult(())
        formula = "LiCl"

    monkeypatch.setattr(campaign_properties, "read_trajectory", lambda *_: None)
    monkeypatch.setattr(campaign_properties, "analyse_transport", lambda *_: Analysed)
    path = tmp_path / "md.xyz"
    path.write_text(FRAME)
    key = analyse_trajectories(
        store,
        [TrajectoryFile(path, 300.0, 100.0)],
        TransportAnalysis(),
        name="t",
        theory="pbe",
    )
    assert key.startswith("41d4b6df9720c08403ba8be81cf9cb62")


@pytest.mark.parametrize("kind", sorted(KINDS.builtin))
def test_results_stored_before_are_read_and_drawn(kind: str, tmp_path: Path) -> None:
    text = (STORED / f"{kind}.json").read_text(encoding="utf-8").strip()
    facts = json.loads(text)
    values = tuple(PropertyValue(**value) for value in facts["values"])
    result = PropertyResult(values, facts["curves"], tuple(facts["notes"]))
    assert json.dumps(asdict(result), ensure_ascii=False) == text
    assert draw_property(kind, result, tmp_path)
