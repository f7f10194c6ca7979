"""Figures of measured results are drawn; of a crystal that yields, no polar cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from fire_core.properties.elasticity.measure import measure
from fire_core.properties.kinds import draw_property
from fire_core.records import PropertyResult
from tests.properties.mechanics.conftest import PairBackbone, in_memory, springs

if TYPE_CHECKING:
    from pathlib import Path


def cube(far: float) -> PropertyResult:
    settings = {"kind": "elasticity", "relax": False, "symmetry": "reduce"}
    atoms = Atoms("Ar", cell=[3.0] * 3, pbc=True)
    backbone = PairBackbone(springs(3.0, 2.0, far))
    return measure(in_memory(atoms, backbone, settings).measurement)


def test_elasticity(tmp_path: Path) -> None:
    result = cube(0.7)
    cuts = result.curves["youngs_modulus"]
    values = {(v.name, v.note): v.value for v in result.values}
    highest = values["youngs_modulus", "highest of all directions"]
    assert np.max(cuts["xy"]) <= highest * (1 + 1e-9)
    assert cuts["xy"][0] == cuts["xz"][0]  # both along x
    names = [f.png.name for f in draw_property("elasticity", result, tmp_path)]
    assert names == ["youngs_modulus.png", "stress_strain.png"]
    assert all((tmp_path / name).stat().st_size > 5000 for name in names)


def test_a_crystal_that_yields(tmp_path: Path) -> None:
    files = draw_property("elasticity", cube(-0.3), tmp_path)
    assert [f.png.name for f in files] == ["stress_strain.png"]


def test_adhesion(tmp_path: Path) -> None:
    distances = np.arange(-2, 20) * 0.25
    energies = -1.3 * (1 + distances) * np.exp(-distances)
    curves = {
        "separations": distances.tolist(),
        "energies": energies.tolist(),
        "work_of_separation": 1.3,
    }
    (file,) = draw_property("adhesion", PropertyResult((), curves), tmp_path)
    assert file.png.stat().st_size > 5000
