"""Relax a structure: ions alone, or ions and cell."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE

from fire_core.errors import PropertyError
from fire_core.progress import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator


def relax(
    atoms: Atoms,
    calculator: Calculator,
    *,
    cell: bool,
    force_tolerance: float,
    max_steps: int = 500,
    mask: Sequence[bool] | None = None,
) -> Atoms:
    """Return a relaxed copy, its calculator attached.

    Parameters
    ----------
    atoms
        Where to start.
    calculator
        Gives energy and forces, and stress where the cell moves.
    cell
        Whether the cell is relaxed, too, to zero stress.
    force_tolerance
        Largest force left, eV/Å. With `cell` also, times the volume, the largest
        stress: at most 0.01 GPa is left.
    max_steps
        Steps of the optimiser.
    mask
        Which of the strains xx, yy, zz, yz, xz, xy the cell may take, with `cell`;
        None: all.

    Raises
    ------
    PropertyError
        It did not come so far in `max_steps`.
    """
    moving = atoms.copy()
    moving.calc = calculator
    target, tolerance = moving, force_tolerance
    if cell:
        target = FrechetCellFilter(moving, mask=mask)
        # the filter's cell gradient is the virial, eV
        virial = 0.01 * units.GPa * moving.get_volume()
        tolerance = min(force_tolerance, virial)
    with (
        FIRE(target, logfile=None) as optimiser,
        warnings.catch_warnings(),
        Work("Relaxing, steps") as work,
    ):
        optimiser.attach(work.advance)
        # scipy's logm tells of errors from 1e-13 on, at each step of the cell
        warnings.filterwarnings("ignore", "logm result may be inaccurate")
        done = optimiser.run(fmax=tolerance, steps=max_steps)
    if not done:
        largest = float(np.linalg.norm(moving.get_forces(), axis=1).max())
        msg = (
            f"{atoms.get_chemical_formula()} is not relaxed after {max_steps} steps: "
            f"the largest force is {largest:.3g} eV/Å, asked for were "
            f"{force_tolerance:g}; allow more steps, or start from another structure"
        )
        raise PropertyError(msg)
    return moving
