"""Choose candidates that lie as far from each other as possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.selection.candidates import (
    Candidates,
    Selected,
    Selector,
    count_represented,
    distances_to,
    nearest_distances,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def choose_farthest(candidates: Candidates, n: int) -> Selected:
    """Take `n` by greedy maximin (Gonzalez 1985), within a factor 2 of the best.

    Each pick is the candidate farthest from everything known and chosen so far;
    with nothing known, the first is the one farthest from the mean. A pick's
    distance is the one that it was chosen for.
    """
    points = candidates.points
    if len(candidates.known):
        nearest = nearest_distances(points, candidates.known)
    else:
        nearest = distances_to(points, points.mean(axis=0))
    first = int(np.argmax(nearest))
    indices, distances = [first], [float(nearest[first])]
    if not len(candidates.known):
        nearest = np.full(len(points), np.inf)
    taken = np.zeros(len(points), np.bool_)
    for _ in range(n - 1):
        last = indices[-1]
        taken[last] = True
        np.minimum(nearest, distances_to(points, points[last]), out=nearest)
        following = take_farthest(nearest, taken)
        indices.append(following)
        distances.append(float(nearest[following]))
    chosen = np.array(indices)
    return Selected(
        indices=chosen,
        clusters=np.full(n, -1),
        cluster_sizes=count_represented(points, chosen),
        distances=np.array(distances),
    )


def take_farthest(nearest: NDArray[np.float64], taken: NDArray[np.bool_]) -> int:
    """Find the candidate with the greatest distance among those not taken."""
    return int(np.argmax(np.where(taken, -1.0, nearest)))


SELECTOR: Final = Selector(choose_farthest)
