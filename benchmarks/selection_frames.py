"""Frames to choose from: a scrambled solid of four species, made anew from a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SPECIES: Final = (3, 15, 16, 17)
COUNTS: Final = (100, 17, 83, 16)
"""Atoms of Li, P, S and Cl: 216, nearly Li6PS5Cl."""
SIDE: Final = 16.2
"""Edge of the cell, Å: 0.051 atoms/Å³, as argyrodites have."""
REPLICAS: Final = 40
TEMPERATURES: Final = (300.0, 600.0, 900.0, 1200.0)


def make_frames(first: int, last: int) -> Iterator[Atoms]:
    """Yield frames of a run of many replicas, as they were saved in turn.

    A replica has its own order of the species on a grid of sites, and goes through
    a slow collective displacement and a breathing of its cell; atoms rattle by the
    root of the temperature.
    """
    for number in range(first, last):
        replica, step = number % REPLICAS, number // REPLICAS
        temperature = TEMPERATURES[replica % len(TEMPERATURES)]
        rng = np.random.default_rng([7, number])
        numbers, wave, phase = _replica(replica)
        side = SIDE * (1.0 + 0.01 * np.sin(0.013 * step + replica))
        sites = _sites()
        angle = 2 * np.pi * (sites @ wave) + phase
        slow = 0.3 * np.sin(0.02 * step + replica) * np.sin(angle)[:, None] * wave
        noise = rng.normal(0.0, 0.12 * np.sqrt(temperature / 300.0), sites.shape)
        positions = (sites * side + slow + noise) % side
        yield Atoms(numbers, positions, cell=[side] * 3, pbc=True)


def _sites() -> NDArray[np.float64]:
    axis = np.arange(6) / 6.0
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return grid.reshape(-1, 3)


def _replica(
    replica: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    """Return a replica's species, its wave vector and the phase of its wave.

    Neighbouring replicas share most of their order, as starts of one structure do.
    """
    numbers = np.random.default_rng(0).permutation(np.repeat(SPECIES, COUNTS))
    rng = np.random.default_rng([11, replica])
    moved = rng.choice(len(numbers), 6 * (1 + replica % 8), replace=False)
    numbers[moved] = numbers[rng.permutation(moved)]
    return numbers, rng.integers(-2, 3, 3).astype(np.float64), float(rng.uniform(0, 6))
