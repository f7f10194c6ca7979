"""The rehearsal potential is a potential: forces and stress are its derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.config.theory import LennardJonesTheory
from fire_core.labelling.codes.lennard_jones import compute
from fire_core.labelling.makers import known_elements, run_label
from fire_core.labelling.theory import theory_from_config

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

THEORY = LennardJonesTheory()
STEP = 1e-4  # Å, and strain


@pytest.fixture
def cell() -> Atoms:
    atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def test_forces_are_the_gradient(cell: Atoms) -> None:
    forces = compute(THEORY, cell).forces
    for atom, axis in ((0, 0), (3, 1), (7, 2)):
        energies = []
        for sign in (1, -1):
            moved = cell.copy()
            moved.positions[atom, axis] += sign * STEP
            energies.append(compute(THEORY, moved).energy)
        slope = (energies[1] - energies[0]) / (2 * STEP)
        assert forces[atom, axis] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert np.abs(forces.sum(axis=0)).max() < 1e-12


def test_stress_is_the_strain_derivative(cell: Atoms) -> None:
    label = compute(THEORY, cell)
    assert label.stress is not None
    energies = []
    for sign in (1, -1):
        strained = cell.copy()
        strain = np.eye(3)
        strain[0, 0] += sign * STEP
        strained.set_cell(cell.cell.array @ strain, scale_atoms=True)
        energies.append(compute(THEORY, strained).energy)
    slope = (energies[0] - energies[1]) / (2 * STEP * cell.get_volume())
    assert label.stress[0] == pytest.approx(slope, rel=1e-4)


def test_it_labels_through_its_maker_as_every_theory_does(
    cell: Atoms, tmp_path: Path
) -> None:
    label = run_label(THEORY, cell, workdir=tmp_path)
    assert label.energy == compute(THEORY, cell).energy
    assert {"Li", "Pu"} <= known_elements(THEORY)
    softer = theory_from_config(LennardJonesTheory(epsilon=0.02))
    assert softer.fingerprint != theory_from_config(THEORY).fingerprint
