"""Outputs of CP2K: energies with forces, optimisations and molecular dynamics.

An output shows the structure that a run began with, and its cell to 0.001 Å in some
releases. What else is needed lies beside it, as CP2K names it: PROJECT-pos-1.xyz,
PROJECT-1.cell and, where forces are not in the output, PROJECT-frc-1.xyz.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.units import Bohr, GPa, Hartree

from fire_core.importing.cp2k_structures import Structures
from fire_core.importing.cp2k_theory import read_theory
from fire_core.importing.frames import (
    MATRIX_TO_VOIGT,
    CalculatedFrame,
    Outcome,
    refuse,
    refuse_unconverged,
)
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from fire_core.labelling.theory import Theory

SCF: Final = "SCF WAVEFUNCTION OPTIMIZATION"
NUMBER: Final = r"([-+]?\d+\.\d+(?:[EeDd][-+]?\d+)?)"
THREE: Final = rf"{NUMBER} +{NUMBER} +{NUMBER}"
FORCE_ROWS: Final = (
    rf"^ +\d+ +\d+ +[A-Z][a-z]? +{THREE} *$",  # to 2023
    rf"^ FORCES\| +\d+ +{THREE} +{NUMBER} *$",  # from 2024
)
STRESS_UNITS: Final = {"GPa": GPa, "bar": 1e-4 * GPa, "kbar": 0.1 * GPa}


def read_cp2k(path: Path) -> Iterator[Outcome]:
    """Yield the structure of every SCF in the output.

    CP2K's total energy holds the entropy of the electrons, and so is the free energy
    that the forces belong to. A run whose SCF did not converge goes on in many
    releases, and ends without an error.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    head, *steps = text.split(SCF)
    theory = read_theory(text)
    structures = Structures(head, path.parent)
    for number, step in enumerate(steps):
        if problem := _why_unconverged(step):
            yield refuse_unconverged(number, problem)
        else:
            yield _outcome(number, step, structures, theory)


def _why_unconverged(step: str) -> str | None:
    failed = re.search(r"SCF run NOT converged|outer SCF loop FAILED to converge", step)
    if failed:
        return f"CP2K says: {failed.group(0)}"
    if not re.search(r"SCF run converged in|outer SCF loop converged", step):
        return "CP2K does not say that the SCF converged; the output ends before"
    return None


def _outcome(
    number: int, step: str, structures: Structures, theory: Theory | None
) -> Outcome:
    found = re.search(rf"ENERGY\| Total FORCE_EVAL .*?{NUMBER}\s*$", step, re.M)
    if found is None:
        return refuse(number, "no_energy", "CP2K printed no total energy for it")
    energy = float(found.group(1))
    atoms = structures.find(number, energy)
    if isinstance(atoms, str):
        return refuse(number, "no_structure", atoms)
    forces = _forces(step)
    if len(forces) == 0:
        forces = structures.forces(energy)
    if len(forces) != len(atoms):
        detail = (
            f"expected {len(atoms)} forces, got {len(forces)}; CP2K prints them with "
            "FORCE_EVAL/PRINT/FORCES ON"
        )
        return refuse(number, "no_forces", detail)
    label = Label(energy * Hartree, forces * (Hartree / Bohr), _stress(step))
    return CalculatedFrame(number, atoms, label, theory)


def _forces(step: str) -> NDArray[np.float64]:
    """Return the forces that the output prints, (n_atoms, 3), hartree/bohr."""
    for pattern in FORCE_ROWS:
        if rows := re.findall(pattern, step, re.M):
            return np.array([row[:3] for row in rows], dtype=np.float64)
    return np.zeros((0, 3))


def _stress(step: str) -> NDArray[np.float64] | None:
    """Return the stress, (6,), eV/Å³; CP2K counts it positive when squeezed."""
    table = re.search(
        r"^ STRESS\|.*?stress tensor \[(\w+)\]\s*\n.*\n"
        rf"((?: STRESS\| +[xyz] +{THREE} *\n){{3}})",
        step,
        re.M,
    )
    if table is None or table.group(1) not in STRESS_UNITS:
        return None
    rows = [line.split()[2:5] for line in table.group(2).splitlines()]
    tensor = -np.array(rows, dtype=np.float64) * STRESS_UNITS[table.group(1)]
    voigt: NDArray[np.float64] = tensor[MATRIX_TO_VOIGT]
    return voigt
