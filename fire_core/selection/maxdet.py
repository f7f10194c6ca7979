"""Choose what a linear model on the features would learn most from."""

from __future__ import annotations

from typing import Final

import numpy as np

from fire_core.selection.candidates import (
    Candidates,
    Selected,
    Selector,
    count_represented,
)

NOISE: Final = 1e-3
"""Variance of a label's noise, as a fraction of the candidates' mean squared length."""


def choose_maxdet(candidates: Candidates, n: int) -> Selected:
    """Take `n` so that the determinant of their kernel matrix grows most at each step.

    With features f(x) of a model's last layer and a Gaussian prior, the variance of a
    linear model after labels of X is f(x)ᵀ (σ² + Σ_X f fᵀ)⁻¹ f(x) up to a factor; the
    candidate of greatest variance is taken, and the inverse updated for it (greedy
    MaxDet, Holzmüller et al., J. Mach. Learn. Res. 24, 164, 2023; D-optimal design).
    What is labelled already counts from the start. Use it with `descriptor: backbone`
    for the kernel of the exploring model's own features.

    A pick's distance is the root of the variance that it was chosen for, where that of
    a direction without labels is the feature's length along it.
    """
    centre = candidates.points.mean(axis=0)
    points = candidates.points - centre
    known = candidates.known - centre
    noise = NOISE * max(float(np.mean(np.sum(points**2, axis=1))), 1e-300)
    precision = np.eye(points.shape[1]) * noise + known.T @ known
    inverse = np.linalg.inv(precision)
    variance = np.einsum("ij,jk,ik->i", points, inverse, points, optimize=True)
    taken = np.zeros(len(points), np.bool_)
    indices, distances = [], []
    for _ in range(n):
        index = int(np.argmax(np.where(taken, -np.inf, variance)))
        taken[index] = True
        indices.append(index)
        distances.append(float(np.sqrt(max(noise * variance[index], 0.0))))
        gain = inverse @ points[index]  # Sherman and Morrison
        scale = 1.0 + float(points[index] @ gain)
        variance = variance - (points @ gain) ** 2 / scale
        inverse = inverse - np.outer(gain, gain) / scale
    chosen = np.array(indices)
    return Selected(
        indices=chosen,
        clusters=np.full(n, -1),
        cluster_sizes=count_represented(candidates.points, chosen),
        distances=np.array(distances),
    )


SELECTOR: Final = Selector(choose_maxdet)
