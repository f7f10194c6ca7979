"""Forces and stress held against central differences of the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.labelling.makers import run_label
from fire_core.labelling.program import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from fire_core.config.dft import DftTheory

FORCE = 5e-3  # eV/Å
STRESS = 0.1 / 160.21766  # 0.1 GPa in eV/Å³
STEP = 0.01  # Å
STRAIN = 2e-3
SHAPE = np.array([[1.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])


def silicon() -> Atoms:
    """Two atoms, displaced and strained so that no symmetry is left."""
    atoms = bulk("Si", "diamond", a=5.43)
    atoms.positions[0] += [0.05, 0.08, -0.03]
    strain = np.array([[0.01, 0.01, 0.0], [0.01, 0.0, 0.0], [0.0, 0.0, -0.01]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def check_derivatives(theory: DftTheory, atoms: Atoms, folder: Path) -> None:
    """Assert that a force and a stress (one axis, one shear) are derivatives."""
    machine = Machine(shelf=folder / "shelf")

    def energy(changed: Atoms) -> float:
        return run_label(theory, changed, workdir=folder, machine=machine).energy

    def moved(sign: int) -> Atoms:
        copy = atoms.copy()
        copy.positions[0, 1] += sign * STEP
        return copy

    def strained(sign: int) -> Atoms:
        copy = atoms.copy()
        strain = np.eye(3) + sign * STRAIN * SHAPE
        copy.set_cell(copy.cell.array @ strain, scale_atoms=True)
        return copy

    label = run_label(theory, atoms, workdir=folder, machine=machine)
    slope = (energy(moved(1)) - energy(moved(-1))) / (2 * STEP)
    assert label.forces[0, 1] == pytest.approx(-slope, abs=FORCE)
    slope = (energy(strained(1)) - energy(strained(-1))) / (2 * STRAIN)
    assert label.stress is not None
    along = label.stress[0] + label.stress[5]  # both off-diagonal halves
    assert along == pytest.approx(slope / atoms.get_volume(), abs=STRESS)
