"""The content key: the same structure has one, another structure another."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones

from fire_core.errors import StructureError
from fire_core.structures.content import pack, structure_key, unpack


def test_the_key_sees_species_positions_cell_and_periodicity_only() -> None:
    atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    key = structure_key(atoms)
    same = atoms.copy()
    same.info["note"] = "x"
    same.set_array("region", np.arange(8))
    same.calc = LennardJones()
    assert structure_key(same) == key
    changes = []
    for change in ("numbers", "positions", "cell", "pbc"):
        other = atoms.copy()
        if change == "numbers":
            other.numbers[0] = 11
        elif change == "positions":
            other.positions[3, 1] = np.nextafter(other.positions[3, 1], 9)
        elif change == "cell":
            other.cell[2, 2] = np.nextafter(5.1, 9)
        else:
            other.pbc[1] = False
        changes.append(structure_key(other))
    assert len({key, *changes}) == 5


def test_negative_zero_is_zero_and_nan_is_refused() -> None:
    atoms = bulk("LiCl", "rocksalt", a=5.1)
    other = atoms.copy()
    other.positions[0] = -0.0
    assert structure_key(other) == structure_key(atoms)
    other.positions[1, 0] = np.nan
    with pytest.raises(StructureError, match="positions must be finite"):
        structure_key(other)


def test_packing_restores_every_bit() -> None:
    atoms = bulk("LiCl", "rocksalt", a=1 / 3)
    atoms.positions[0] = [5e-324, -0.0, 1e300]
    atoms.pbc = [True, False, True]
    back = unpack(pack(atoms))
    assert back.positions.tobytes() == atoms.positions.tobytes()
    assert back.cell.array.tobytes() == atoms.cell.array.tobytes()
    assert (back.pbc == atoms.pbc).all()
    assert (back.numbers == atoms.numbers).all()
