"""The smallest distance of each pair of elements in a frame, compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.selection.compiled import jit, place_atoms

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.selection.compiled import AtomPositions


def pair_distances(
    atoms: Atoms, reach: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the elements of a frame and the smallest distance of each pair of them.

    Periodic images count, those of an atom itself included.

    Parameters
    ----------
    atoms
        The frame; finite, and with a volume where it is periodic.
    reach
        Pairs farther apart than this need not be found, Å.

    Returns
    -------
    tuple
        Atomic numbers, (k,), ascending, and distances, (k, k), Å; inf where no pair
        is within reach.
    """
    numbers, kinds = np.unique(atoms.numbers, return_inverse=True)
    place = place_atoms(atoms, kinds, reach)
    limit = reach * reach
    squared = np.full((len(numbers), len(numbers)), limit)
    _shorten(place, squared)
    distances = np.where(squared < limit, np.sqrt(squared), np.inf)
    return numbers.astype(np.int64), distances


@jit
def _shorten(place: AtomPositions, squared: NDArray[np.float64]) -> None:
    """Lower each pair's entry to its smallest squared distance."""
    cell, kinds = place.cell, place.kinds
    n = len(kinds)
    between = np.empty(3)
    for i in range(n):
        for j in range(i, n):
            for k in range(3):
                between[k] = place.fractional[j, k] - place.fractional[i, k]
                if place.periodic[k]:
                    between[k] -= np.rint(between[k])
            for shift in place.shifts:
                a = between[0] + shift[0]
                b = between[1] + shift[1]
                c = between[2] + shift[2]
                own = i == j and a * a + b * b + c * c < 0.25  # the atom itself
                x = a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
                y = a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
                z = a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
                away = x * x + y * y + z * z
                if not own and away < squared[kinds[i], kinds[j]]:
                    squared[kinds[i], kinds[j]] = away
                    squared[kinds[j], kinds[i]] = away
