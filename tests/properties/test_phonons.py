"""Phonons of crystals of springs, whose frequencies are known, and of the model."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list

from fire_core.errors import PropertyError
from fire_core.properties.phonons.displacements import Phonons, choose_supercell
from fire_core.properties.phonons.settings import PhononsConfig

A, K = 4.0, 2.0
"""Lattice constant, Å, and stiffness of a spring, eV/Å²."""
GAS = 8.314462618


class Springs(Calculator):
    """Springs at rest between atoms closer than a cutoff."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, rest: float, cutoff: float) -> None:
        super().__init__()
        self.rest, self.cutoff = rest, cutoff

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = (), changes: Any = None
    ) -> None:
        super().calculate(atoms, properties, changes or all_changes)
        i, d, vector = neighbor_list("idD", self.atoms, self.cutoff)
        stretch = d - self.rest
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, i, (K * stretch / d)[:, None] * vector)
        self.results = {
            "energy": 0.25 * K * float(np.sum(stretch**2)),
            "forces": forces,
        }


def forces_of(phonons: Phonons, calculator: Calculator) -> list[np.ndarray]:
    forces = []
    for cell in phonons.displaced():
        cell.calc = calculator
        forces.append(cell.get_forces())
    return forces


@pytest.fixture(scope="module")
def fcc() -> Phonons:
    """An fcc crystal of copper's mass, springs between nearest neighbours."""
    crystal = bulk("Cu", "fcc", a=A)
    phonons = Phonons(crystal, (3, 3, 3), displacement=0.005, symprec=1e-5)
    phonons.set_forces(forces_of(phonons, Springs(A / 2**0.5, 0.8 * A)))
    return phonons


def frequency(stiffness: float, mass: float) -> float:
    """√(k/m) / 2π in THz, of eV/Å² and atomic mass units."""
    return math.sqrt(stiffness / mass) * units.fs * 1e3 / (2 * math.pi)


MASS = 63.546


def test_units_of_frequency() -> None:
    """√(1 eV/Å² / 1 u) / 2π = 15.633 THz."""
    assert frequency(1.0, 1.0) == pytest.approx(15.633302, rel=1e-6)


def test_fcc_frequencies_at_the_zone_boundary_are_the_textbook_ones(
    fcc: Phonons,
) -> None:
    """Nearest neighbour springs: at X ω² = 8k/m once and 4k/m twice; at L 8k/m, 2k/m.

    N. W. Ashcroft and N. D. Mermin, Solid State Physics, problem 22.1.
    """
    cartesian = np.array([[1 / A, 0, 0], [0.5 / A, 0.5 / A, 0.5 / A]])
    at_x, at_l = fcc.frequencies(cartesian @ fcc.primitive.cell.array.T)
    expected = [frequency(n * K, MASS) for n in (4, 4, 8)]
    assert np.sort(at_x) == pytest.approx(expected, rel=1e-3)
    expected = [frequency(n * K, MASS) for n in (2, 2, 8)]
    assert np.sort(at_l) == pytest.approx(expected, rel=1e-3)


def test_fcc_dispersion_along_100_is_a_sine(fcc: Phonons) -> None:
    x = np.linspace(0.1, 0.9, 5)
    q = np.zeros((5, 3))
    q[:, 0] = x / A
    found = np.sort(fcc.frequencies(q @ fcc.primitive.cell.array.T), axis=1)
    sine = np.sin(np.pi * x / 2)
    # a 3×3×3 cell of nearest neighbour springs leaves nothing out
    assert found[:, 2] == pytest.approx(frequency(8 * K, MASS) * sine, rel=1e-3)
    assert found[:, 0] == pytest.approx(frequency(4 * K, MASS) * sine, rel=1e-3)


def test_speed_of_sound_is_that_of_the_elastic_constants(fcc: Phonons) -> None:
    """C11 = 2k/a, C12 = C44 = k/a, density 4m/a³, all of them by hand."""
    density = 4 * MASS * 1.66053906660e-27 / (A * 1e-10) ** 3
    stiffness = K * 16.02176634 / (A * 1e-10)  # k/a in Pa
    for direction, moduli in (
        ((1, 0, 0), (1, 1, 2)),
        ((1, 1, 0), (0.5, 1, 2.5)),
        ((1, 1, 1), (2 / 3, 2 / 3, 8 / 3)),
    ):
        expected = [1e-3 * math.sqrt(m * stiffness / density) for m in moduli]
        assert fcc.sound(np.array(direction, float)) == pytest.approx(
            expected, rel=5e-3
        )


def test_heat_capacity_goes_to_dulong_and_petit_and_to_zero(fcc: Phonons) -> None:
    fcc.mesh(30.0)
    cold, hot = fcc.thermal([2.0, 5000.0])
    assert hot.heat_capacity == pytest.approx(3 * GAS, rel=1e-3)
    assert 0 <= cold.heat_capacity < 0.01 * 3 * GAS


def test_density_of_states_counts_three_modes_of_an_atom(fcc: Phonons) -> None:
    mesh = fcc.mesh(40.0)
    total = np.trapezoid(mesh.dos, mesh.dos_frequencies)
    assert total == pytest.approx(3, rel=0.02)
    # the second moment is the mean of ω²: the trace of the force on one atom, 4k·3/m
    squares = np.average((mesh.frequencies**2).mean(axis=1), weights=mesh.weights)
    assert squares == pytest.approx(frequency(4 * K, MASS) ** 2, rel=1e-3)


def test_acoustic_modes_vanish_at_gamma_and_nothing_is_imaginary(fcc: Phonons) -> None:
    assert np.abs(fcc.frequencies(np.zeros((1, 3)))).max() < 1e-3
    mesh = fcc.mesh(30.0)
    assert mesh.share_below(-0.01) == 0
    bands = fcc.bands()
    assert bands.frequencies.max() == pytest.approx(frequency(8 * K, MASS), rel=1e-3)
    assert bands.labels[0] == "G"


def test_sum_rule_is_measured_before_it_is_imposed() -> None:
    """Forces with a drift: the residual is seen, and gone afterwards."""
    crystal = bulk("Cu", "fcc", a=A)
    phonons = Phonons(crystal, (2, 2, 2), displacement=0.01, symprec=1e-5)
    forces = forces_of(phonons, Springs(A / 2**0.5, 0.8 * A))
    clean = phonons.set_forces(forces)
    still, displaced = phonons.displaced()
    move = (displaced.positions - still.positions).sum(axis=0)
    forces[1] = forces[1] + 0.3 * move
    broken = phonons.set_forces(forces)
    assert clean < 0.05 < broken
    assert np.abs(phonons.frequencies(np.zeros((1, 3)))).max() < 1e-2


def test_chain_of_atoms_has_its_highest_frequency_at_the_zone_boundary() -> None:
    """ω(q) = 2 √(k/m) |sin(qa/2)|, chains far from each other."""
    chain = Atoms("Cu", cell=[2.5, 9, 9], pbc=True)
    phonons = Phonons(chain, (4, 1, 1), displacement=0.01, symprec=1e-5)
    phonons.set_forces(forces_of(phonons, Springs(2.5, 3.0)))
    q = np.array([[x / 2.5, 0, 0] for x in (0.25, 0.5)])
    highest = phonons.frequencies(q @ phonons.primitive.cell.array.T).max(axis=1)
    expected = 2 * frequency(K, MASS) * np.sin(np.pi * q[:, 0] * 2.5)
    assert highest == pytest.approx(expected, rel=1e-3)


def test_unstable_crystal_has_imaginary_modes() -> None:
    """Springs under compression push sideways: transverse modes go soft."""
    crystal = bulk("Cu", "sc", a=3.0)
    phonons = Phonons(crystal, (3, 3, 3), displacement=0.01, symprec=1e-5)
    phonons.set_forces(forces_of(phonons, Springs(3.3, 3.2)))
    mesh = phonons.mesh(25.0)
    assert mesh.frequencies.min() < -0.5
    assert mesh.share_below(-0.1) > 0.1


def test_supercell_grows_to_the_asked_length_and_no_further() -> None:
    crystal = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    assert choose_supercell(crystal, PhononsConfig(min_length=10)) == (2, 2, 2)
    assert choose_supercell(crystal, PhononsConfig(min_length=10.3)) == (3, 3, 3)
    with pytest.raises(PropertyError, match="need 512 atoms, allowed are 100"):
        choose_supercell(crystal, PhononsConfig(min_length=20, max_atoms=100))
