"""Choose the candidate nearest to the centre of each K-means cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.selection.candidates import (
    Candidates,
    Selected,
    Selector,
    distances_to,
    nearest_distances,
)
from fire_core.selection.farthest_point import take_farthest

if TYPE_CHECKING:
    from numpy.typing import NDArray

STARTS: Final = 5
"""k-means++ starts; the one with the least inertia is taken."""


def choose_kmeans(candidates: Candidates, n: int) -> Selected:
    """Cluster into `n` and take the nearest member to each centre.

    Large clusters rank first. Where fewer than `n` candidates differ, there are
    fewer clusters; the rest is filled by those farthest from what is chosen, as
    clusters -1 of size 1.
    """
    return cluster(candidates, n, np.ones(len(candidates.points)))


def cluster(candidates: Candidates, n: int, weights: NDArray[np.float64]) -> Selected:
    """Cluster weighted candidates into `n`, heavy clusters first; see `choose_kmeans`.

    Parameters
    ----------
    candidates
        What there is to choose from.
    n
        Clusters.
    weights
        (m,), positive, weight of each candidate.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    points = candidates.points
    n_clusters = min(n, len(np.unique(points, axis=0)))
    model = KMeans(n_clusters, n_init=STARTS, random_state=candidates.seed)
    with threadpool_limits(1, user_api="openmp"):  # sums in one order
        labels = model.fit_predict(points, sample_weight=weights)
    indices, sizes, distances = [], [], []
    clusters = np.unique(labels)
    totals = np.bincount(labels, weights)[clusters]
    for number in clusters:
        members = np.flatnonzero(labels == number)
        away = distances_to(points[members], model.cluster_centers_[number])
        nearest = int(np.argmin(away))
        indices.append(int(members[nearest]))
        sizes.append(len(members))
        distances.append(float(away[nearest]))
    order = np.argsort(-totals, kind="stable")
    return _fill(
        candidates,
        n,
        Selected(
            indices=np.array(indices)[order],
            clusters=np.arange(len(clusters)),
            cluster_sizes=np.array(sizes)[order],
            distances=np.array(distances)[order],
        ),
    )


def _fill(candidates: Candidates, n: int, choice: Selected) -> Selected:
    points = candidates.points
    indices = choice.indices.tolist()
    distances = choice.distances.tolist()
    nearest = nearest_distances(points, points[choice.indices])
    taken = np.zeros(len(points), np.bool_)
    taken[indices] = True
    missing = n - len(indices)
    for _ in range(missing):
        index = take_farthest(nearest, taken)
        indices.append(index)
        distances.append(float(nearest[index]))
        taken[index] = True
        np.minimum(nearest, distances_to(points, points[index]), out=nearest)
    return Selected(
        indices=np.array(indices),
        clusters=np.append(choice.clusters, np.full(missing, -1)),
        cluster_sizes=np.append(choice.cluster_sizes, np.ones(missing, np.int64)),
        distances=np.array(distances),
    )


SELECTOR: Final = Selector(choose_kmeans)
