"""Choose candidates at random: the baseline of every comparison."""

from __future__ import annotations

from typing import Final

import numpy as np

from fire_core.selection.candidates import (
    Candidates,
    Selected,
    Selector,
    count_represented,
    distances_to,
)


def choose_random(candidates: Candidates, n: int) -> Selected:
    """Draw `n` without replacement; the distance is that to the mean of all."""
    points = candidates.points
    rng = np.random.default_rng(candidates.seed)
    indices = rng.permutation(len(points))[:n]
    return Selected(
        indices=indices,
        clusters=np.full(n, -1),
        cluster_sizes=count_represented(points, indices),
        distances=distances_to(points[indices], points.mean(axis=0)),
    )


SELECTOR: Final = Selector(choose_random)
