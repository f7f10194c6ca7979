"""What a selector is, receives and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Candidates of one selection, in an order that only their features set.

    Attributes
    ----------
    points
        (m, k), reduced features of those that may be chosen.
    known
        (j, k), reduced features of what is labelled already; j may be 0.
    seed
        Seed of any random number.
    uncertainty
        (m,), how unsure the exploring model is of each candidate, in any unit; None
        where that was not measured.
    """

    points: NDArray[np.float64]
    known: NDArray[np.float64]
    seed: int
    uncertainty: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Selected:
    """Chosen candidates by rank; the fields are those of `records.Pick`."""

    indices: NDArray[np.int64]
    clusters: NDArray[np.int64]
    cluster_sizes: NDArray[np.int64]
    distances: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Selector:
    """A way to choose candidates, as `config.open_sets.SELECTORS` knows it.

    Attributes
    ----------
    choose
        Returns that many candidates, all different; random numbers come from their
        seed alone.
    needs_uncertainty
        Whether it chooses by how unsure the exploring model is of each candidate.
    """

    choose: Callable[[Candidates, int], Selected]
    needs_uncertainty: bool = False


def distances_to(
    points: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return each point's Euclidean distance to one target, (m,)."""
    away: NDArray[np.float64] = np.linalg.norm(points - target, axis=1)
    return away


def nearest_distances(
    points: NDArray[np.float64], others: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return each point's distance to the nearest of others, (m,); inf without any."""
    nearest = np.full(len(points), np.inf)
    for other in others:
        np.minimum(nearest, distances_to(points, other), out=nearest)
    return nearest


def count_represented(
    points: NDArray[np.float64], chosen: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count the points nearest to each chosen one, (n,); ties go to the first."""
    best = np.full(len(points), np.inf)
    owner = np.zeros(len(points), np.int64)
    for rank, index in enumerate(chosen):
        away = distances_to(points, points[index])
        closer = away < best
        best[closer], owner[closer] = away[closer], rank
    owner[chosen] = np.arange(len(chosen))
    return np.bincount(owner, minlength=len(chosen))
