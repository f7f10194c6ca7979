"""Tensors turn with the crystal and keep what its point group keeps."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.transform import Rotation

from fire_core.properties.elasticity.settings import ElasticityConfig
from fire_core.properties.elasticity.strains import orient
from fire_core.properties.elasticity.tensor import (
    full_to_stiffness,
    independent_places,
    invariant_basis,
    needed_strains,
    rotate_stiffness,
    rotate_strain,
    stiffness_to_full,
    to_kelvin,
    voigt_to_strain,
)
from fire_core.structures.crystals import build_crystal
from fire_core.structures.symmetry import find_point_symmetry

# Nye, Physical Properties of Crystals, table 9: constants of each Laue class
CONSTANTS = {
    "LiCl": (3, "c11 c12 c44"),
    "Na3SbS4": (6, "c11 c12 c13 c33 c44 c66"),
    "Li3PS4": (9, "c11 c12 c13 c22 c23 c33 c44 c55 c66"),
    "GaF3": (6, "c11 c12 c13 c14 c33 c44 c66"),  # c66 depends
    "Li2CO3": (13, ""),
}


@pytest.fixture
def tensor() -> np.ndarray:
    half = np.random.default_rng(3).normal(size=(6, 6))
    return half @ half.T + 3 * np.eye(6)


@pytest.fixture
def turn() -> np.ndarray:
    return Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()


def test_full_tensor_gives_the_matrix_back(tensor: np.ndarray) -> None:
    full = stiffness_to_full(tensor)
    assert np.array_equal(full_to_stiffness(full), tensor)
    assert np.array_equal(full, full.transpose(1, 0, 2, 3))
    assert np.array_equal(full, full.transpose(2, 3, 0, 1))


def test_elastic_energy_does_not_depend_on_the_axes(
    tensor: np.ndarray, turn: np.ndarray
) -> None:
    strain = np.array([0.01, -0.02, 0.005, 0.03, -0.01, 0.02])
    turned = rotate_strain(strain, turn)
    after = rotate_stiffness(tensor, turn)
    assert turned @ after @ turned == pytest.approx(strain @ tensor @ strain)
    # and the stress of the turned strain is the turned stress
    stress = np.einsum(
        "ijkl,kl->ij", stiffness_to_full(tensor), voigt_to_strain(strain)
    )
    again = np.einsum("ijkl,kl->ij", stiffness_to_full(after), voigt_to_strain(turned))
    assert again == pytest.approx(turn @ stress @ turn.T)


def test_kelvin_eigenvalues_do_not_depend_on_the_axes(
    tensor: np.ndarray, turn: np.ndarray
) -> None:
    before = np.linalg.eigvalsh(to_kelvin(tensor))
    after = np.linalg.eigvalsh(to_kelvin(rotate_stiffness(tensor, turn)))
    assert after == pytest.approx(before)


@pytest.mark.parametrize("name", CONSTANTS)
def test_each_crystal_class_has_its_constants(name: str) -> None:
    _, symmetry = orient(build_crystal(name), ElasticityConfig())
    basis = invariant_basis(symmetry.rotations)
    number, names = CONSTANTS[name]
    assert len(basis) == number
    for rotation in symmetry.rotations[::3]:
        for element in basis:
            assert rotate_stiffness(element, rotation) == pytest.approx(
                element, abs=1e-4
            )
    if names:
        found = [f"c{i + 1}{j + 1}" for i, j in independent_places(basis)]
        assert " ".join(found) == names


def test_fewest_strains_determine_the_tensor() -> None:
    cubic = find_point_symmetry(build_crystal("LiCl"), 0.01).rotations
    hexagonal = find_point_symmetry(bulk("Mg", "hcp", a=3.2, c=5.2), 0.01).rotations
    assert needed_strains(cubic) == [0, 3]
    assert needed_strains(hexagonal) == [0, 2, 3]
    assert needed_strains(np.eye(3)[None]) == list(range(6))


def test_a_turned_primitive_cell_comes_back_to_the_crystal_axes(
    turn: np.ndarray,
) -> None:
    atoms = bulk("LiCl", "rocksalt", a=5.15)
    atoms.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    back, symmetry = orient(atoms, ElasticityConfig())
    assert symmetry.symbol == "Fm-3m"
    # the anion-cation bonds lie along the axes again
    bonds = back.repeat(2).get_all_distances(mic=True, vector=True)
    nearest = bonds[np.abs(np.linalg.norm(bonds, axis=-1) - 5.15 / 2) < 0.01]
    assert len(nearest)
    assert np.sort(np.abs(nearest), axis=1)[:, :2] == pytest.approx(0, abs=1e-6)
    assert find_point_symmetry(atoms, 0.01).number == symmetry.number
