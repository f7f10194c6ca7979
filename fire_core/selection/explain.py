"""Explain why each structure was chosen, and what the choice leaves under-sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.selection.candidates import distances_to, nearest_distances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.records import Pick

REGIONS: Final = 5
"""Under-sampled regions that are named."""
UNUSUAL: Final = 95.0
"""Percentile of the candidates' Q-residuals beyond which one is unusual."""


@dataclass(frozen=True, slots=True)
class PickReason:
    """Why one candidate was chosen.

    Distances are in the reduced descriptor space, in units of the candidates'
    root-mean-square distance from their mean.

    Attributes
    ----------
    index, rank
        Position among the candidates; order of choice.
    cluster, cluster_size
        Its cluster (-1: none), and how many candidates it stands for.
    centre_distance
        Distance to its cluster's centre, or the selector's own measure.
    labelled_distance
        Distance to the nearest structure labelled before; None: there was none.
    q_ratio
        Its Q-residual over the limit `Explanation.q_limit`; beyond 1 it differs from
        most candidates in a way that the kept components do not show.
    """

    index: int
    rank: int
    cluster: int
    cluster_size: int
    centre_distance: float
    labelled_distance: float | None
    q_ratio: float


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Candidates far from everything that is labelled or chosen.

    Attributes
    ----------
    example
        The candidate of the region that lies farthest out.
    distance
        Its distance to what is labelled or chosen, in the same unit as above.
    members
        Candidates nearer to the example than to anything labelled or chosen.
    """

    example: int
    distance: float
    members: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Distances of the candidates to the nearest structure labelled or chosen."""

    mean: float
    percentile_95: float
    largest: float


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What a choice is made of.

    Attributes
    ----------
    unit
        Root-mean-square distance of the candidates from their mean, in the reduced
        space.
    q_limit
        95th percentile of the candidates' Q-residuals.
    picks
        By rank.
    regions
        Under-sampled ones, the farthest first.
    before, after
        Coverage by what was labelled (None: nothing was), and with the picks.
    """

    unit: float
    q_limit: float
    picks: list[PickReason]
    regions: list[Region]
    before: Coverage | None
    after: Coverage


def explain(
    points: NDArray[np.float64],
    known: NDArray[np.float64],
    picks: Sequence[Pick],
    q_residuals: NDArray[np.float64],
    *,
    n_regions: int = REGIONS,
) -> Explanation:
    """Explain a choice.

    Parameters
    ----------
    points
        (m, k), reduced features of the candidates.
    known
        (j, k), of what was labelled before; j may be 0.
    picks
        The choice; indices refer to `points`.
    q_residuals
        (m,), of the candidates (`PcaMap.q_residual`).
    n_regions
        Most regions to name. They are found by going on as farthest-point selection
        would: the next candidates that it would take, and what each would stand for.
    """
    spread = np.sum((points - points.mean(axis=0)) ** 2, axis=1)
    unit = float(np.sqrt(np.mean(spread))) or 1.0
    q_limit = float(np.percentile(q_residuals, UNUSUAL))
    labelled = nearest_distances(points, known) / unit
    ordered = sorted(picks, key=lambda pick: pick.rank)
    chosen = np.array([pick.index for pick in ordered], np.int64)
    covered = np.minimum(labelled, nearest_distances(points, points[chosen]) / unit)
    reasons = [
        PickReason(
            index=pick.index,
            rank=pick.rank,
            cluster=pick.cluster,
            cluster_size=pick.cluster_size,
            centre_distance=pick.distance / unit,
            labelled_distance=float(labelled[pick.index]) if len(known) else None,
            q_ratio=float(q_residuals[pick.index] / q_limit) if q_limit > 0 else 0.0,
        )
        for pick in ordered
    ]
    return Explanation(
        unit=unit,
        q_limit=q_limit,
        picks=reasons,
        regions=_find_regions(points, covered, unit, n_regions),
        before=_measure(labelled) if len(known) else None,
        after=_measure(covered),
    )


def _find_regions(
    points: NDArray[np.float64],
    covered: NDArray[np.float64],
    unit: float,
    n_regions: int,
) -> list[Region]:
    left = covered.copy()
    regions = []
    for _ in range(n_regions):
        example = int(np.argmax(left))
        if not left[example] > 0:
            break
        away = distances_to(points, points[example]) / unit
        members = np.flatnonzero(away < left)
        regions.append(Region(example, float(left[example]), members))
        np.minimum(left, away, out=left)
    return regions


def _measure(distances: NDArray[np.float64]) -> Coverage:
    return Coverage(
        mean=float(distances.mean()),
        percentile_95=float(np.percentile(distances, 95)),
        largest=float(distances.max()),
    )
