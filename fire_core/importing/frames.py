"""What a reader yields: a calculated frame, or why a frame is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from fire_core.labelling.theory import Theory
from fire_core.records import Label, Problem
from fire_core.structures.sanity import find_problems

if TYPE_CHECKING:
    from collections.abc import Mapping

OVERLAP: Final = 0.4  # of the sum of covalent radii
find_unfit = partial(
    find_problems,
    min_distance_factor=OVERLAP,
    known_elements=frozenset(chemical_symbols[1:]),
)
"""What makes a structure unfit for the store."""

MATRIX_TO_VOIGT: Final = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))


@dataclass(frozen=True, slots=True, eq=False)
class CalculatedFrame:
    """A structure with the label that a calculation gave it.

    Attributes
    ----------
    number
        Its place in the file, from 0; ionic steps count.
    atoms
        The structure, without calculator.
    label
        Energy that the forces belong to, forces, stress (eV, eV/Å, eV/Å³).
    theory
        Theory level as the file says it; a fingerprint where it names no more than
        that; None where it says nothing.
    """

    number: int
    atoms: Atoms
    label: Label
    theory: Theory | str | None


@dataclass(frozen=True, slots=True)
class RefusedFrame:
    """A frame of the file that gives no label, and why."""

    number: int
    problem: Problem


Outcome = CalculatedFrame | RefusedFrame


def refuse(number: int, kind: str, detail: str) -> RefusedFrame:
    """Return the refusal of a frame."""
    return RefusedFrame(number, Problem(kind, detail))


def refuse_unconverged(number: int, detail: str) -> RefusedFrame:
    """Return the refusal of a frame whose SCF did not converge."""
    return refuse(number, "not_converged", detail)


def judge(outcome: Outcome) -> Outcome:
    """Return the frame, or its refusal if its structure or numbers are not sound."""
    if isinstance(outcome, RefusedFrame):
        return outcome
    label, n_atoms = outcome.label, len(outcome.atoms)
    if label.forces.shape != (n_atoms, 3):
        detail = f"forces have shape {label.forces.shape}, expected ({n_atoms}, 3)"
        return refuse(outcome.number, "wrong_shape", detail)
    stress = np.zeros(6) if label.stress is None else label.stress
    numbers = np.concatenate([[label.energy], label.forces.ravel(), stress])
    if not np.isfinite(numbers).all():
        detail = "energy, forces or stress hold NaN or infinity"
        return refuse(outcome.number, "not_finite", detail)
    problems = find_unfit(outcome.atoms)
    return RefusedFrame(outcome.number, problems[0]) if problems else outcome


def bare(atoms: Atoms) -> Atoms:
    """Return the structure alone: species, positions, cell and periodicity."""
    return Atoms(
        atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc
    )


def theory_of(code: str, version: str, settings: Mapping[str, object]) -> Theory:
    """Return the theory level that was read from a file."""
    return Theory(code, version, json.dumps(settings, sort_keys=True))
