"""Choose the candidates farthest from the mean of all."""

from __future__ import annotations

import numpy as np

from fire_core.selection.candidates import (
    Candidates,
    Selected,
    Selector,
    count_represented,
    distances_to,
)


def choose_outermost(candidates: Candidates, n: int) -> Selected:
    """Take the candidates farthest from the mean of all."""
    points = candidates.points
    away = distances_to(points, points.mean(axis=0))
    indices = np.argsort(-away, kind="stable")[:n]
    return Selected(
        indices=indices,
        clusters=np.full(n, -1),
        cluster_sizes=count_represented(points, indices),
        distances=away[indices],
    )


SELECTOR = Selector(choose_outermost)
