"""Ions whose diffusion is known: walkers, jumpers, pairs, lattice gases, cages.

Every function returns unwrapped positions (n_frames, n_ions, 3) in Å from a generator;
what is exact about them is in its docstring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Shape = tuple[int, int]
"""Frames and ions."""


def brownian(
    rng: np.random.Generator, shape: Shape, per_frame: float, shake: float = 0.0
) -> Array:
    """Independent random walks that also vibrate; D = `per_frame` Å²/frame."""
    steps = rng.normal(0.0, np.sqrt(2 * per_frame), (*shape, 3))
    return np.cumsum(steps, axis=0) + rng.normal(0.0, shake, (*shape, 3))


def langevin(
    rng: np.random.Generator, shape: Shape, speed: float, friction: float
) -> Array:
    """Free Langevin particles, stepped exactly; D = speed² / friction.

    `speed` is √(kT/m), Å/frame; `friction` 1/frame. S. Chandrasekhar, Rev. Mod. Phys.
    15, 1 (1943), eqs. 171 to 175.
    """
    keep = np.exp(-friction)
    to_position = (1 - keep) / friction
    v_v = speed**2 * (1 - keep**2)
    x_v = speed**2 * (1 - keep) ** 2 / friction
    x_x = speed**2 / friction**2 * (2 * friction - 3 + 4 * keep - keep**2)
    mixing = np.linalg.cholesky([[v_v, x_v], [x_v, x_x]])
    velocity = rng.normal(0.0, speed, (shape[1], 3))
    positions = np.zeros((*shape, 3))
    for frame in range(1, shape[0]):
        kick = np.tensordot(mixing, rng.normal(size=(2, shape[1], 3)), axes=1)
        positions[frame] = positions[frame - 1] + to_position * velocity + kick[1]
        velocity = keep * velocity + kick[0]
    return positions


def jumps(
    rng: np.random.Generator, shape: Shape, rate: float, edge: float, shake: float
) -> Array:
    """Independent jumps on a cubic lattice, with vibrations; D = rate edge² / 6.

    `rate` counts jumps per frame in all six directions.
    """
    counts = rng.poisson(rate / 3, (*shape, 3))
    steps = edge * (2 * rng.binomial(counts, 0.5) - counts)
    return np.cumsum(steps, axis=0) + rng.normal(0.0, shake, (*shape, 3))


def pairs(rng: np.random.Generator, shape: Shape, per_frame: float) -> Array:
    """Ions that walk in rigid pairs; D = `per_frame`, Haven ratio 1/2."""
    walk = brownian(rng, (shape[0], shape[1] // 2), per_frame)
    return np.repeat(walk, 2, axis=1)


def lattice_gas(
    rng: np.random.Generator, shape: Shape, size: int, rate: float, edge: float
) -> Array:
    """Ions that jump to free sites of a periodic cubic lattice of size³ sites.

    Each tries `rate` jumps per frame. The sum of all displacements is a martingale on
    a torus, so that with n ions on m sites D_σ = rate edge²/6 × (m - n)/(m - 1)
    exactly, at all times, whatever the correlations of a single ion's jumps.
    """
    occupied = rng.permutation(size**3)[: shape[1]]
    tries = rng.poisson(rate * shape[1], shape[0])
    ions = rng.integers(0, shape[1], tries.sum())
    ways = rng.integers(0, 6, tries.sum())
    return edge * _jump(occupied, tries, ions, ways, size)


def cage(rng: np.random.Generator, shape: Shape, width: float, memory: float) -> Array:
    """Ions bound to their sites, each coordinate of deviation `width` Å; D = 0.

    `memory` is the number of frames after which a coordinate is forgotten.
    """
    keep = np.exp(-1 / memory)
    positions = np.empty((*shape, 3))
    positions[0] = rng.normal(0.0, width, (shape[1], 3))
    kicks = rng.normal(0.0, width * np.sqrt(1 - keep**2), (*shape, 3))
    for frame in range(1, shape[0]):
        positions[frame] = keep * positions[frame - 1] + kicks[frame]
    return positions


def two_sites(
    rng: np.random.Generator, shape: Shape, rate: float, distance: float
) -> Array:
    """Ions that jump back and forth between two sites and vibrate; D = 0."""
    flips = np.cumsum(rng.poisson(rate, shape), axis=0) % 2
    positions = rng.normal(0.0, 0.3, (*shape, 3))
    positions[..., 0] += distance * flips
    return positions


@njit(cache=False)
def _jump(occupied, tries, ions, ways, size):  # type: ignore[no-untyped-def]
    n_frames, n_ions = len(tries), len(occupied)
    place = np.empty((n_ions, 3), np.int64)
    taken = np.zeros((size, size, size), np.bool_)
    for ion in range(n_ions):
        site = occupied[ion]
        place[ion, 0] = site // (size * size)
        place[ion, 1] = site // size % size
        place[ion, 2] = site % size
        taken[place[ion, 0], place[ion, 1], place[ion, 2]] = True
    unwrapped = np.zeros((n_ions, 3))
    frames = np.empty((n_frames, n_ions, 3))
    attempt = 0
    for frame in range(n_frames):
        for _ in range(tries[frame]):
            ion, axis = ions[attempt], ways[attempt] // 2
            step = 2 * (ways[attempt] % 2) - 1
            attempt += 1
            goal = place[ion].copy()
            goal[axis] = (goal[axis] + step) % size
            if not taken[goal[0], goal[1], goal[2]]:
                taken[place[ion, 0], place[ion, 1], place[ion, 2]] = False
                taken[goal[0], goal[1], goal[2]] = True
                place[ion] = goal
                unwrapped[ion, axis] += step
        frames[frame] = unwrapped
    return frames
