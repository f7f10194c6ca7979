"""Choose the candidates worth a label, by any selector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.config.open_sets import SELECTORS
from fire_core.errors import StructureError
from fire_core.records import Pick
from fire_core.selection.candidates import Candidates, nearest_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.config.steps import SelectConfig
    from fire_core.selection.candidates import Selector

DUPLICATE: Final = 0.01
"""A candidate nearer to a known point than this fraction of the candidates'
root-mean-square distance from their mean is a near-duplicate of it."""


def select(
    features: NDArray[np.floating],
    config: SelectConfig,
    *,
    rng_seed: int,
    known: NDArray[np.floating] | None = None,
    allowed: NDArray[np.bool_] | None = None,
    uncertainty: NDArray[np.floating] | None = None,
) -> list[Pick]:
    """Choose exactly `config.n` distinct candidates.

    The choice depends on the set of features and the seed: candidates are put in
    the order of their features first, so permuting them permutes the picks.

    Parameters
    ----------
    features
        (m, k), reduced features of all candidates.
    config
        Method and number.
    rng_seed
        Seed of the selector's random numbers.
    known
        (j, k), features of what is labelled already, in the same space; no
        candidate within `DUPLICATE` of one is chosen.
    allowed
        (m,), False where a candidate may not be chosen.
    uncertainty
        (m,), of the exploring model, in any unit; some methods need it.

    Returns
    -------
    list[Pick]
        By rank; indices refer to `features`.

    Raises
    ------
    StructureError
        When fewer than `config.n` candidates are left, shapes do not fit, or the
        method needs uncertainties and there are none.
    """
    selector: Selector = SELECTORS.load(config.method)
    points = np.asarray(features, np.float64)
    width = points.shape[1]
    seen = np.empty((0, width)) if known is None else np.asarray(known, np.float64)
    mask = np.ones(len(points), np.bool_) if allowed is None else np.asarray(allowed)
    if mask.shape != (len(points),) or seen.ndim != 2 or seen.shape[1] != width:
        msg = (
            f"expected known of shape (any, {width}) and allowed of shape "
            f"({len(points)},), got {seen.shape} and {mask.shape}"
        )
        raise StructureError(msg)
    _check_uncertainty(config.method, selector, len(points), uncertainty)
    fresh = mask & ~find_duplicates(points, seen)
    if fresh.sum() < config.n:
        msg = (
            f"expected at least {config.n} candidates to select from, got "
            f"{fresh.sum()}: {len(points)} in all, {len(points) - mask.sum()} refused "
            f"by screening, {mask.sum() - fresh.sum()} like a labelled structure; "
            "lower select.n, or raise explore.steps or explore.replicas"
        )
        raise StructureError(msg)
    available = np.flatnonzero(fresh)
    available = available[np.lexsort(points[available].T[::-1])]
    sigma = None
    if uncertainty is not None:
        sigma = np.asarray(uncertainty, np.float64)[available]
    candidates = Candidates(points[available], seen, rng_seed, sigma)
    choice = selector.choose(candidates, config.n)
    if len(set(map(int, choice.indices))) != config.n:
        msg = (
            f"the selector {config.method} was asked for {config.n} different "
            f"candidates and returned {len(set(map(int, choice.indices)))}; its "
            "package has to be mended, or another select.method be chosen"
        )
        raise StructureError(msg)
    return [
        Pick(int(available[i]), rank, int(cluster), int(size), float(distance))
        for rank, (i, cluster, size, distance) in enumerate(
            zip(
                choice.indices,
                choice.clusters,
                choice.cluster_sizes,
                choice.distances,
                strict=True,
            )
        )
    ]


def _check_uncertainty(
    method: str,
    selector: Selector,
    n: int,
    uncertainty: NDArray[np.floating] | None,
) -> None:
    if uncertainty is None:
        if selector.needs_uncertainty:
            msg = (
                f"method {method!r} needs the uncertainty of each candidate, got none: "
                "the run measured none; set select.method: kmeans"
            )
            raise StructureError(msg)
    elif len(uncertainty) != n:
        msg = f"expected the uncertainty of {n} candidates, got {len(uncertainty)}"
        raise StructureError(msg)


def find_duplicates(
    points: NDArray[np.float64], known: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Mark the points, (m,), that are near-duplicates of a known one."""
    if not len(points) or not len(known):
        return np.zeros(len(points), np.bool_)
    spread = np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1)))
    near: NDArray[np.bool_] = nearest_distances(points, known) <= DUPLICATE * spread
    return near
