"""Fingerprints of theory levels stay: the labels of every store hang on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fire_core.config.dft import (
    AbinitTheory,
    Cp2kTheory,
    EspressoTheory,
    GpawTheory,
    VaspTheory,
)
from fire_core.config.presets import PRESETS
from fire_core.config.theory import LennardJonesTheory, TeacherTheory, XtbTheory
from fire_core.labelling.isolated import atom_theory
from fire_core.labelling.theory import theory_from_config

if TYPE_CHECKING:
    from pathlib import Path

# Computed by the code of version 0.1.0, of the level and of its isolated atoms.
PINNED = {
    "cp2k-pbe": ("e98760bfc811c606", "7a6d7f9b7bf3e911"),
    "cp2k-pbe-d3": ("2f7873adcc684b1b", "9e0b8bd157aa8d72"),
    "cp2k-r2scan": ("526e2a2bce0d0d8c", "66308f0d460ef5d1"),
    "espresso-pbe": ("62db3f0df2b1b3ad", "3e11edf60851b35e"),
    "espresso-pbe-d3": ("6353d2cf051cee8d", "d2fba2740c6e1187"),
    "abinit-pbe": ("04a752b30a434ae6", "d04e8d932651aa92"),
    "abinit-pbe-d3": ("db3e9585012783a9", "ec8eddc6b36be4cc"),
    "gpaw-pbe": ("fccf695c878f7056", "4774dd5b44416b08"),
    "vasp-pbe": ("ce6cd31530168085", "ee8714a697453ab8"),
    "vasp-pbe-d3": ("5f63a278c499ca08", "045a1982d43257f8"),
    "vasp-r2scan": ("a6ffc2f32416f771", "0d9c535140bc7015"),
}
RELEASES = {
    "tblite": "0.8.0",
    "ase": "3.29.0",
    "mace-torch": "0.3.16",
    "chgnet": "0.4.2",
}


@pytest.fixture(autouse=True)
def releases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fingerprints hold the releases of packages; those of then."""
    for module in ("labelling.codes.xtb", "labelling.codes.lennard_jones"):
        monkeypatch.setattr(f"fire_core.{module}.version", RELEASES.__getitem__)
    monkeypatch.setattr(
        "fire_core.backbones.registry.version", RELEASES.__getitem__
    )  # of teachers


@pytest.mark.parametrize("name", PINNED)
def test_named_theories_and_their_atoms_stay(name: str) -> None:
    levels = (PRESETS[name], atom_theory(PRESETS[name]))
    found = tuple(theory_from_config(level).fingerprint for level in levels)
    assert found == PINNED[name]


@pytest.mark.parametrize(
    ("theory", "fingerprint"),
    [
        (XtbTheory(), "48ec9f55a42434d1"),
        (XtbTheory(method="GFN2-xTB", accuracy=0.1), "cced2edbd9275797"),
        (LennardJonesTheory(), "3ae010f967577e79"),
        (LennardJonesTheory(epsilon=0.02), "16646737e4597050"),
        (TeacherTheory(backbone="fire-mini"), "a7494a84f5f0a13c"),
        (TeacherTheory(backbone="chgnet"), "788a223b69f1f8e1"),
        (TeacherTheory(backbone="medium-mpa-0"), "9f2f16507cce796f"),
        (Cp2kTheory(), "e98760bfc811c606"),
        (EspressoTheory(), "fbd3f947653275f4"),
        (AbinitTheory(), "e5e5c8e084e5f4e6"),
        (GpawTheory(), "fccf695c878f7056"),
        (VaspTheory(), "a2eb7bec6f9b13af"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_defaults_stay(theory: Any, fingerprint: str) -> None:
    assert theory_from_config(theory).fingerprint == fingerprint
    if theory.kind in {"xtb", "lennard_jones", "teacher"}:
        assert atom_theory(theory) == theory


def test_a_teacher_from_a_file_is_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.model"
    path.write_bytes(b"weights")
    theory = theory_from_config(TeacherTheory(backbone=str(path)))
    assert theory.fingerprint == "62ebaa28774305a8"
