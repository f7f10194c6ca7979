"""Whether a slab has a dipole along its normal, from the charges of its ions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.structures.composition import guess_oxidation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

PLANE: Final = 0.25
"""Ions whose heights differ less than this make one plane, Å."""
VOLTS: Final = 180.95
"""e/ε0 in V·Å: the potential step of one e/Å of dipole for each Å² of surface."""
NEUTRAL: Final = 0.05
"""Charge of a plane, e for each ion in it, below which it counts as neutral."""
POLAR: Final = 1.0
"""Potential step, V, above which a slab is called polar; the ions are rigid point
charges here, so that relaxed steps are several times smaller."""


@dataclass(frozen=True, slots=True)
class Polarity:
    """What the ions of a slab do along its normal.

    Attributes
    ----------
    charge
        Net charge of the slab, e.
    step
        Potential across the slab that its unrelaxed point charges make, V.
    tasker
        Type 1: neutral planes; 2: charged planes without a dipole; 3: with one
        (Tasker, J. Phys. C 12 (1979) 4977). None for a metal.
    """

    charge: float
    step: float
    tasker: int | None

    @property
    def is_polar(self) -> bool:
        """Whether the dipole does not vanish."""
        return self.tasker == 3


def find_polarity(slab: Atoms, oxidation: Mapping[str, float]) -> Polarity:
    """Return the polarity of a slab.

    Parameters
    ----------
    slab
        A slab with its normal along z.
    oxidation
        Charges of elements that are known, e; the others are guessed.
    """
    symbols = slab.get_chemical_symbols()
    here = {e: q for e, q in oxidation.items() if e in symbols}
    charges = guess_oxidation(Counter(symbols), here)
    q = np.array([charges[s] for s in symbols])
    if not q.any():
        return Polarity(0.0, 0.0, None)
    z = slab.positions[:, 2]
    area = float(np.linalg.norm(np.cross(*slab.cell.array[:2])))
    step = VOLTS * float(q @ (z - z.mean())) / area
    if abs(step) > POLAR:
        return Polarity(float(q.sum()), step, 3)
    order = np.argsort(z, kind="stable")
    planes = np.split(order, np.flatnonzero(np.diff(z[order]) > PLANE) + 1)
    neutral = all(abs(q[plane].sum()) < NEUTRAL * len(plane) for plane in planes)
    return Polarity(float(q.sum()), step, 1 if neutral else 2)
