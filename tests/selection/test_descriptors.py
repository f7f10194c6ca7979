"""SOAP features have the symmetries of physics, whatever computes them."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from scipy.spatial.transform import Rotation

from fire_core.config.steps import SoapConfig
from fire_core.errors import StructureError, UnknownElementError
from fire_core.selection import descriptors
from fire_core.selection.descriptors import (
    describe,
    describe_by_atoms,
    plan_soap,
    soap_features,
)
from fire_core.selection.groups import group_atoms

SMALL = {"n_max": 4, "l_max": 3, "cutoff": 4.5}
SAME = 2e-6
"""Relative to the largest feature: single precision, and the table's own error."""
AS_DSCRIBE = 1e-6
"""Relative to the largest feature; single precision alone is 1e-7."""


@pytest.fixture
def salt() -> Atoms:
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def _features(atoms, average="species", **options):
    config = SoapConfig(average=average, **SMALL)
    return soap_features([atoms], config, **options)[0]


def _same(a, b):
    return np.abs(a - b).max() <= SAME * np.abs(a).max()


@pytest.mark.parametrize("average", ["frame", "species", "species_region"])
def test_rotation_translation_and_folding_leave_features(salt, average):
    regions = [0, 0, 0, 0, 1, 1, 1, 1]
    if average != "species_region":
        regions = None
    here = _features(salt, average, regions=regions)
    turned = salt.copy()
    turn = Rotation.from_euler("xyz", [0.3, 1.1, -0.7]).as_matrix()
    turned.set_cell(salt.cell @ turn.T, scale_atoms=False)
    turned.positions = salt.positions @ turn.T
    moved = salt.copy()
    moved.positions += [31.0, -7.3, 0.4]
    unfolded = salt.copy()
    unfolded.positions[2] += 3 * salt.cell[0] - 2 * salt.cell[1]
    for other in (turned, moved, unfolded):
        assert _same(here, _features(other, average, regions=regions))
    stirred = salt.copy()
    stirred.rattle(0.1, seed=2)
    assert not _same(here, _features(stirred, average, regions=regions))


def test_permutation_and_supercell_leave_features(salt):
    order = np.random.default_rng(0).permutation(len(salt))
    assert _same(_features(salt), _features(salt[order]))
    large = make_supercell(salt, [[2, 0, 0], [0, 1, 0], [1, 0, 1]])
    for average in ("frame", "species"):
        assert _same(_features(salt, average), _features(large, average))


def test_averages_nest(salt):
    """Groups' means, weighted by their sizes, give the coarser mean."""
    regions = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    frame = _features(salt, "frame")
    species = _features(salt, "species").reshape(2, -1)
    fine = _features(salt, "species_region", regions=regions).reshape(4, -1)
    assert _same(frame, species.mean(axis=0))
    pairs = sorted(set(zip(salt.numbers.tolist(), regions.tolist(), strict=True)))
    counts = [
        np.sum((salt.numbers == z) & (regions == r)) for z, r in pairs
    ]  # Li0, Li1, Cl0, Cl1
    assert _same(species[0], np.average(fine[:2], axis=0, weights=counts[:2]))
    assert _same(species[1], np.average(fine[2:], axis=0, weights=counts[2:]))


def test_one_displaced_atom_weighs_more_in_its_own_group():
    """What averaging over species and region is for: bulk does not drown a layer."""
    calm = bulk("LiCl", "rocksalt", a=5.13, cubic=True).repeat((1, 1, 3))
    regions = (calm.positions[:, 2] > 2 * 5.13 - 1e-6).astype(int)
    stirred = calm.copy()
    stirred.positions[np.flatnonzero(regions)[0]] += 0.5

    def change(average, use=None):
        a, b = (_features(x, average, regions=use) for x in (calm, stirred))
        return np.linalg.norm(a - b) / np.linalg.norm(a)

    assert change("species_region", regions) > change("species") > change("frame")


def test_a_missing_species_is_a_zero_block(salt):
    config = SoapConfig(**SMALL)
    lithium = bulk("Li", "bcc", a=3.49, cubic=True)
    both = soap_features([salt, lithium], config)
    assert both.dtype == np.float32
    assert not both[1, both.shape[1] // 2 :].any()
    alone = soap_features([lithium], config, species=[17, 3])
    assert np.array_equal(alone[0], both[1])


def test_threads_and_chunks_change_nothing(salt):
    frames = []
    for seed in range(2 * descriptors.CHUNK + 9):
        atoms = salt.copy()
        atoms.rattle(0.2, seed=seed)
        frames.append(atoms)
    alone = soap_features(frames, SoapConfig(workers=1, **SMALL))
    assert np.array_equal(alone, soap_features(frames, SoapConfig(workers=2, **SMALL)))
    last = soap_features(frames[-1:], SoapConfig(workers=1, **SMALL))
    assert np.array_equal(alone[-1:], last)


def test_frames_are_taken_only_as_they_are_needed(salt):
    taken = []

    def source():
        for number in range(20 * descriptors.CHUNK):
            taken.append(number)
            yield salt

    plan = plan_soap(SoapConfig(workers=2, **SMALL), salt, species=[3, 17])
    blocks = describe(source(), plan)
    assert next(blocks).shape == (descriptors.CHUNK, plan.width)
    assert len(taken) <= 6 * descriptors.CHUNK
    blocks.close()


def _slab() -> Atoms:
    atoms = bulk("LiF", "rocksalt", a=4.03, cubic=True).repeat((2, 1, 1))
    atoms.symbols[3] = "Cl"
    atoms.rattle(0.15, seed=3)
    atoms.center(vacuum=4.0, axis=2)
    atoms.pbc = [True, True, False]
    return atoms


def _tilted() -> Atoms:
    atoms = make_supercell(
        bulk("LiCl", "rocksalt", a=5.13), [[2, 1, 0], [0, 1, 0], [0, 0, 1]]
    )
    atoms.rattle(0.15, seed=4)
    atoms.positions += [40.0, -3.0, 7.0]
    return atoms


@pytest.mark.parametrize("average", ["frame", "species", "atom"])
@pytest.mark.parametrize(
    "atoms",
    [_slab(), _tilted(), Atoms("LiClLi", [[0, 0, 0], [0, 0.4, 2.0], [2.1, 0, 0]])],
    ids=["slab", "tilted", "molecule"],
)
@pytest.mark.parametrize(
    "soap", [SMALL, {"n_max": 8, "l_max": 6}, {"n_max": 1, "l_max": 1, "sigma": 0.8}]
)
def test_it_is_dscribes(atoms, average, soap):
    ours = soap_features([atoms], SoapConfig(average=average, **soap))
    config = SoapConfig(average=average, engine="dscribe", **soap)
    theirs = soap_features([atoms], config)
    assert np.abs(ours - theirs).max() <= AS_DSCRIBE * np.abs(theirs).max()


def test_frames_of_a_molecule_need_no_cell():
    molecule = Atoms("LiCl", positions=[[0, 0, 0], [0, 0, 2.0]])
    shifted = molecule.copy()
    shifted.positions += 5.0
    assert _same(_features(molecule), _features(shifted))


def test_another_descriptor_is_averaged_over_the_same_groups(salt):
    """SOAP of single atoms, averaged from outside, is the average from inside."""
    frames = [salt, salt[::-1], salt[salt.numbers == 3]]

    def of_atoms(chunk):
        config = SoapConfig(average="atom", **SMALL)
        return [
            soap_features([a], config, species=[3, 17])[0].reshape(len(a), -1)
            for a in chunk
        ]

    grouping = group_atoms("species", [3, 17], salt)
    (outside,) = describe_by_atoms(iter(frames), grouping, of_atoms)
    inside = soap_features(frames, SoapConfig(**SMALL))
    assert outside.shape == inside.shape
    assert _same(outside, inside)


def test_clear_refusals(salt):
    config = SoapConfig(average="species_region", **SMALL)
    with pytest.raises(StructureError, match="at least one frame"):
        soap_features([], config)
    with pytest.raises(StructureError, match="needs the region of each atom"):
        soap_features([salt], config)
    with pytest.raises(StructureError, match="got Cl4Li3 with 7"):
        soap_features([salt, salt[1:]], config, regions=np.zeros(8, int))
    with pytest.raises(UnknownElementError, match=r"\['Cl'\] too"):
        soap_features([salt], SoapConfig(**SMALL), species=[3])
    molecule = Atoms("LiCl", positions=[[0, 0, 0], [0, 0, 2.0]])
    with pytest.raises(StructureError, match="periodic or none"):
        soap_features([salt, molecule], SoapConfig(**SMALL))
    lost = salt.copy()
    lost.positions[2, 1] = np.nan
    with pytest.raises(StructureError, match="Cl4Li4 has nan or inf; screen"):
        soap_features([salt, lost], SoapConfig(**SMALL))
