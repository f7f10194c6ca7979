"""Rattled and strained copies of a structure, to begin a campaign with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import StructureError
from fire_core.structures.sanity import find_problems

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.config.steps import PerturbConfig

ATTEMPTS: Final = 20


def perturb(
    atoms: Atoms, config: PerturbConfig, rng: np.random.Generator
) -> list[Atoms]:
    """Return `config.n` perturbed copies.

    Each has its own displacement width, log-uniform between the two of
    `config.rattle` (Å), Gaussian and without net translation, and a symmetric
    strain whose components are uniform within ±`config.strain`.

    Raises
    ------
    StructureError
        No copy without overlapping atoms was found in twenty attempts.
    """
    return [_one(atoms, config, rng) for _ in range(config.n)]


def _one(atoms: Atoms, config: PerturbConfig, rng: np.random.Generator) -> Atoms:
    low, high = config.rattle
    for _ in range(ATTEMPTS):
        width = high
        if low > 0:
            width = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        upper = rng.uniform(-config.strain, config.strain, (3, 3))
        strain = np.triu(upper) + np.triu(upper, 1).T
        copy = atoms.copy()
        copy.calc = None
        copy.set_cell(copy.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        shift = rng.normal(0.0, width, copy.positions.shape)
        copy.positions += shift - shift.mean(axis=0)
        if not find_problems(copy):
            return copy
    msg = (
        f"{ATTEMPTS} rattled copies of {atoms.symbols} all had overlapping atoms; "
        f"lower perturb.rattle (now {list(config.rattle)} Å) or perturb.strain "
        f"(now {config.strain})"
    )
    raise StructureError(msg)
