"""Simulated annealing of ions on sites (Kirkpatrick et al., Science 220 (1983) 671)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

HOT: Final = 3.0
COLD: Final = 0.02
"""First and last temperature of the search, eV."""
FORBIDDEN: Final = 30.0
"""What a pair of sites that exclude each other costs, eV; a filled pair at 0.8 Å has
18 eV of repulsion of its own."""
SPLIT: Final = 5.0
"""What an ion too many or too few in an orbit costs, eV: an ion changes to another
orbit of its element where it would be too near others otherwise, or gains 10 eV."""
EMPTY: Final = ""


@dataclass(slots=True, eq=False)
class Filling:
    """Sites and what sits on them, while the search moves it about.

    Attributes
    ----------
    matrix
        (n, n), eV/e², Ewald matrix.
    excluded
        (n, n), pairs of sites that must not both be filled.
    kinds
        (n,), orbit of each site.
    species
        Element on each site, or EMPTY.
    charge
        (n,), e.
    """

    matrix: Array
    excluded: NDArray[np.bool_]
    kinds: NDArray[np.int64]
    species: list[str]
    charge: Array


def anneal(
    filling: Filling,
    pools: Sequence[NDArray[np.int64]],
    sweeps: int,
    rng: np.random.Generator,
) -> None:
    """Swap contents of sites, cooling geometrically, and leave the best arrangement.

    Parameters
    ----------
    filling
        Is changed in place.
    pools
        Groups of sites whose contents may be exchanged.
    sweeps
        Trial swaps for each of these sites.
    rng
        Source of the swaps.
    """
    movable = np.concatenate(pools) if pools else np.empty(0, np.int64)
    steps = sweeps * len(movable)
    if not steps:
        return
    pool_of = {int(site): pool.tolist() for pool in pools for site in pool}
    first = rng.choice(movable, steps).tolist()
    second = rng.random(steps).tolist()
    patience = -np.log(rng.random(steps)) * np.geomspace(HOT, COLD, steps)
    moves = _Moves(filling)
    best, kept = moves.cost, list(filling.species)
    for i, chance, limit in zip(first, second, patience.tolist(), strict=True):
        pool = pool_of[i]
        j = pool[int(chance * len(pool))]
        if filling.species[i] == filling.species[j]:
            continue
        rise = moves.rise(i, j)
        if rise > limit:
            continue
        moves.make(i, j, rise)
        if moves.cost < best - 1e-9:
            best, kept = moves.cost, list(filling.species)
    charges = dict(zip(filling.species, filling.charge.tolist(), strict=True))
    filling.species = kept
    filling.charge = np.array([charges[s] for s in kept])


class _Moves:
    """What a swap of two sites costs, from fields that are kept up to date.

    The cost is the electrostatic energy, plus FORBIDDEN for each excluded pair, plus
    SPLIT for each ion by which an orbit's content differs from its start.
    """

    def __init__(self, filling: Filling) -> None:
        self.filling = filling
        self.occupied = np.array([float(s != EMPTY) for s in filling.species])
        self.penalty = FORBIDDEN / 2 * filling.excluded
        self.field = filling.matrix @ filling.charge
        self.crowd = self.penalty @ self.occupied
        self.cost = float(filling.charge @ self.field + self.occupied @ self.crowd)
        self.kinds: list[int] = filling.kinds.tolist()
        self.excess = dict.fromkeys(
            itertools.product(set(self.kinds), set(filling.species)), 0
        )

    def rise(self, i: int, j: int) -> float:
        """Return the change of the cost when i and j exchange their contents."""
        m, charge = self.filling.matrix, self.filling.charge
        dq = charge[j] - charge[i]
        do = self.occupied[j] - self.occupied[i]
        rise = 2 * dq * (self.field[i] - self.field[j])
        rise += dq * dq * (m[i, i] + m[j, j] - 2 * m[i, j])
        rise += 2 * do * (self.crowd[i] - self.crowd[j])
        rise -= 2 * do * do * self.penalty[i, j]
        if self.kinds[i] != self.kinds[j]:
            rise += sum(
                SPLIT * (abs(self.excess[key] + change) - abs(self.excess[key]))
                for key, change in self._changes(i, j)
            )
        return float(rise)

    def make(self, i: int, j: int, rise: float) -> None:
        """Exchange the contents of i and j."""
        species, charge = self.filling.species, self.filling.charge
        dq = charge[j] - charge[i]
        do = self.occupied[j] - self.occupied[i]
        for key, change in self._changes(i, j):
            self.excess[key] += change
        species[i], species[j] = species[j], species[i]
        charge[i], charge[j] = charge[j], charge[i]
        self.occupied[i] += do
        self.occupied[j] -= do
        self.field += dq * (self.filling.matrix[i] - self.filling.matrix[j])
        self.crowd += do * (self.penalty[i] - self.penalty[j])
        self.cost += rise

    def _changes(self, i: int, j: int) -> list[tuple[tuple[int, str], int]]:
        a, b = self.kinds[i], self.kinds[j]
        if a == b:
            return []
        here, there = self.filling.species[i], self.filling.species[j]
        changes = [((a, here), -1), ((b, here), 1), ((b, there), -1), ((a, there), 1)]
        return [change for change in changes if change[0][1] != EMPTY]


def energy_of(filling: Filling) -> float:
    """Return the electrostatic energy, eV."""
    return float(filling.charge @ filling.matrix @ filling.charge)


def count_violations(filling: Filling) -> int:
    """Return how many excluded pairs are filled."""
    occupied = np.array([s != EMPTY for s in filling.species])
    return int(filling.excluded[np.ix_(occupied, occupied)].sum()) // 2
