"""Least squares of an energy for each element, with a ridge where data say little.

The residual of structure i is taken as :math:`r_i = f_i · s + b_{c(i)} + e_i`, with
the fractions f of its elements, the shift s, an error b that all structures of a
composition share, and an error e of its own. A model is wrong about a composition at
least as much as about the arrangements of its atoms, so the variance of b is taken as
that of e where compositions are too few to tell it.

The strength of the ridge is the one for which the data are likeliest (empirical Bayes,
D. J. C. MacKay, Neural Computation 4, 415 (1992)). It acts on what the data tell worse
than to `LOOSE`; of what they tell well it leaves nothing for a network to learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize_scalar

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

RANK_TOLERANCE: Final = 1e-8  # of the largest singular value of the compositions
LOOSE: Final = 0.1  # eV
KNOWN: Final = 1e-3
"""How far a shift that is known may be from zero, relative to the others."""


@dataclass(frozen=True, slots=True, eq=False)
class RidgeFit:
    """Shifts and what is known of them.

    Attributes
    ----------
    solution
        (n_elements,), eV.
    errors
        Standard errors of the fit without the ridge, from what the data determine,
        (n_elements,), eV; infinite where no spare structure tells, zero where known.
    free
        Whether an element's own shift has a part that no data determine, (n_elements,).
    """

    solution: Vector
    errors: Vector
    free: NDArray[np.bool_]


def fit_ridge(
    fractions: Vector,
    residual: Vector,
    compositions: Sequence[Hashable],
    *,
    known: NDArray[np.bool_],
    ridge: bool,
) -> RidgeFit:
    """Fit the shift of each element.

    Parameters
    ----------
    fractions
        Of each element in each structure, (n, n_elements).
    residual
        Of each structure, (n,), eV/atom.
    compositions
        What structures of one composition have in common, (n,).
    known
        Elements that have no shift unless the data say so exactly, (n_elements,).
    ridge
        Whether there is a ridge at all.
    """
    widths = np.where(known, KNOWN, 1.0)
    space = _decompose(fractions * widths)
    found = (space.left.T @ residual) / space.values
    left_over = residual - space.left @ (space.values * found)
    own, shared = _variances(left_over, compositions, len(found))
    factor = np.ones_like(found)
    if ridge and np.isfinite(own):
        covariance = _covariance(space, compositions, own, shared)
        moved = np.linalg.norm(widths * space.right, axis=1)  # by one of each, eV
        errors = moved * np.sqrt(np.diag(covariance))
        shrunk = _shrink(found, np.diag(covariance))
        factor = np.where(errors > LOOSE, shrunk, 1.0)
    errors = np.zeros(len(known))
    free = np.zeros(len(known), bool)
    if not known.all():
        unknown = _decompose(fractions[:, ~known])
        # of each element's axis, how much lies in the row space
        free[~known] = np.linalg.norm(unknown.right, axis=0) < 1 - 1e-6
        covariance = _covariance(unknown, compositions, own, shared)
        spread = np.einsum("ke,kl,le->e", unknown.right, covariance, unknown.right)
        errors[~known] = np.sqrt(spread) if np.isfinite(own) else np.inf
    return RidgeFit(widths * (space.right.T @ (factor * found)), errors, free)


@dataclass(frozen=True, slots=True, eq=False)
class _Space:
    """What compositions determine: (n, rank), (rank,), (rank, n_elements)."""

    left: Vector
    values: Vector
    right: Vector


def _decompose(fractions: Vector) -> _Space:
    left, values, right = np.linalg.svd(fractions, full_matrices=False)
    kept = values > RANK_TOLERANCE * values[0]
    return _Space(left[:, kept], values[kept], right[kept])


def _variances(
    left_over: Vector, compositions: Sequence[Hashable], rank: int
) -> tuple[float, float]:
    """Return the variance of structures of one composition, and of compositions."""
    groups = _groups(compositions)
    n = len(left_over)
    within = sum(float(np.var(left_over[g])) * len(g) for g in groups)
    spare_within, spare_between = n - len(groups), len(groups) - rank
    if spare_within:
        own = within / spare_within
    elif spare_between > 0:
        own = float(left_over @ left_over) / spare_between
    else:
        return np.nan, np.nan
    between = 0.0
    if spare_between > 0:
        means = [float(np.mean(left_over[g])) for g in groups]
        sizes = [len(g) for g in groups]
        of_means = sum(m * m for m in means) / spare_between
        between = of_means - own * float(np.mean([1 / size for size in sizes]))
    return own, max(own, between)


def _covariance(
    space: _Space, compositions: Sequence[Hashable], own: float, shared: float
) -> Vector:
    """Return the covariance of what is found along each direction, (rank, rank)."""
    left = space.left
    sums = np.array([left[g].sum(axis=0) for g in _groups(compositions)])
    total: Vector = own * (left.T @ left) + shared * (sums.T @ sums)
    total /= space.values[:, None] * space.values
    return total


def _groups(compositions: Sequence[Hashable]) -> list[list[int]]:
    members: dict[Hashable, list[int]] = {}
    for i, composition in enumerate(compositions):
        members.setdefault(composition, []).append(i)
    return list(members.values())


def _shrink(found: Vector, variances: Vector) -> Vector:
    """Return the factor on each coefficient, 1 where it is known exactly."""
    size = float(np.mean(found**2))
    if size == 0.0 or not variances.any():
        return np.ones_like(found)

    def surprise(log_prior: float) -> float:
        total = np.exp(log_prior) + variances
        return float(np.sum(np.log(total) + found**2 / total))

    bounds = (np.log(size) - 20.0, np.log(size) + 2.0)
    found_at = minimize_scalar(surprise, bounds=bounds, method="bounded").x
    prior = float(np.exp(found_at))
    factors: Vector = prior / (prior + variances)
    return factors
