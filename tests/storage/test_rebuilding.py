"""A structure rebuilt from bytes is what ASE's own constructor makes of them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.lj import LennardJones

from fire_core.storage import rebuilding
from fire_core.storage.rebuilding import rebuild
from fire_core.structures.content import pack, unpack


@pytest.fixture
def frames() -> list[Atoms]:
    slab = bulk("LiCl", "rocksalt", a=5.13).repeat((2, 2, 1))
    slab.pbc = [True, True, False]
    return [bulk("Li", "bcc", a=3.49), slab, molecule("H2O"), Atoms()]


def test_it_is_what_ase_makes_and_its_parts_are_its_own(frames):
    packed = [pack(atoms) for atoms in frames]
    for atoms, other in zip(rebuild(packed), map(unpack, packed), strict=True):
        assert atoms == other
        assert atoms.__dict__.keys() == other.__dict__.keys()
        for name, array in other.arrays.items():
            assert atoms.arrays[name].dtype == array.dtype
            assert atoms.arrays[name].flags.writeable
        assert atoms.cell.array.tobytes() == other.cell.array.tobytes()
        assert np.array_equal(atoms.pbc, other.pbc)
    one, two = rebuild([packed[1], packed[1]])
    one.positions += 1.0
    one.set_cell(one.cell * 2)
    one.pbc = False
    one.info["x"] = 1
    assert two == frames[1]
    assert two.info == {}


def test_it_can_do_what_an_atoms_does(frames):
    atoms = rebuild([pack(frames[1])])[0]
    atoms.calc = LennardJones()
    frames[1].calc = LennardJones()
    assert atoms.get_potential_energy() == frames[1].get_potential_energy()
    assert atoms.copy() == frames[1]
    assert (atoms * 2) == frames[1] * 2
    assert pickle.loads(pickle.dumps(atoms)) == frames[1]
    del atoms[0]
    assert len(atoms) == len(frames[1]) - 1


def test_with_another_ase_its_own_way_is_taken(frames, monkeypatch):
    monkeypatch.setattr(rebuilding, "PARTS", frozenset({"other"}))
    packed = [pack(atoms) for atoms in frames]
    assert rebuild(packed) == [unpack(row) for row in packed]
