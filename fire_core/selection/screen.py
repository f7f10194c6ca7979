"""Refuse the candidates that no label should be paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.errors import StructureError
from fire_core.records import Problem
from fire_core.structures.contacts import is_too_close
from fire_core.structures.sanity import find_problems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.config.steps import ScreenConfig


def screen(
    frames: Sequence[Atoms],
    config: ScreenConfig,
    forces: Sequence[NDArray[np.floating]] | None = None,
) -> list[Problem | None]:
    """Judge each candidate; None means that it may be selected.

    Parameters
    ----------
    frames
        Candidates.
    config
        Limits.
    forces
        (n_atoms, 3) for each frame, eV/Å, by the exploring model; forces are not
        judged when None.

    Returns
    -------
    list[Problem | None]
        In the order of the frames; the first thing wrong with each.
    """
    if forces is not None and len(forces) != len(frames):
        msg = f"expected forces of {len(frames)} frames, got those of {len(forces)}"
        raise StructureError(msg)
    judged = []
    for i, atoms in enumerate(frames):
        factor = config.min_distance_factor
        sound = _is_sound(atoms, factor)
        problems = [] if sound else find_problems(atoms, min_distance_factor=factor)
        if not problems and forces is not None:
            problems = _judge_forces(forces[i], config.max_force)
        judged.append(problems[0] if problems else None)
    return judged


def _is_sound(atoms: Atoms, factor: float) -> bool:
    """Pass what is fit at a glance; thousands of frames are looked at here."""
    if not (len(atoms) and atoms.pbc.all() and np.isfinite(atoms.positions).all()):
        return False
    if not atoms.cell.volume > 1e-6:
        return False
    place = (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
    return not is_too_close(*place, factor=factor)


def _judge_forces(forces: NDArray[np.floating], limit: float) -> list[Problem]:
    largest = float(np.max(np.linalg.norm(forces, axis=1), initial=0.0))
    if largest <= limit:  # nan compares false
        return []
    detail = f"largest force {largest:.1f} eV/Å, expected at most {limit:.1f} eV/Å"
    return [Problem("large_force", detail)]
