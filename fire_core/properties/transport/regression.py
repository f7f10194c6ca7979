"""Slope of a mean squared displacement by generalised least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import chi2

from fire_core.properties.transport.covariance import msd_covariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ROUNDS: Final = 4
"""Fits in turn with the covariance of the fit before; it settles in two or three."""
RIDGE: Final = 1e-9
"""Added to a correlation matrix's diagonal, so that rounding cannot make it singular"""
LEAST: Final = 1e-9
"""Smallest slope, per frame and relative to the displacement, of a covariance."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A straight line through a mean squared displacement.

    Attributes
    ----------
    slope, intercept
        Å²/frame and Å².
    slope_error
        Standard error of the slope.
    weights
        (n,), 1/frame; their product with the displacements is the slope.
    covariance
        (n, n), Å⁴, of the displacements.
    """

    slope: float
    intercept: float
    slope_error: float
    weights: Array
    covariance: Array

    @property
    def dof(self) -> float:
        """Degrees of freedom ν of the slope: its relative error is √(2/ν)."""
        return 2.0 * (self.slope / self.slope_error) ** 2


def fit_line(
    lags: NDArray[np.int64], msd: Array, n_frames: int, n_independent: float
) -> Line:
    """Fit a line whose covariance follows from the line itself.

    Parameters
    ----------
    lags
        (n,), frames, rising, at least two.
    msd
        (n,), Å².
    n_frames
        Frames that it was averaged over.
    n_independent
        Independent ions × directions × replicas in it.
    """
    design = np.column_stack([lags, np.ones(len(lags))]).astype(float)
    slope, intercept = np.polyfit(lags, msd, 1)
    for _ in range(ROUNDS):
        least = LEAST * float(np.abs(msd).max())
        covariance = msd_covariance(
            lags, n_frames, max(slope, least), max(intercept, 0.0)
        )
        covariance /= n_independent
        weights, errors = solve(design, covariance)
        slope, intercept = weights @ msd
    return Line(
        slope=float(slope),
        intercept=float(intercept),
        slope_error=float(errors[0]),
        weights=weights[0],
        covariance=covariance,
    )


def solve(design: Array, covariance: Array) -> tuple[Array, Array]:
    """Return the weights (parameters, n) of generalised least squares, and errors.

    A. C. Aitken, Proc. R. Soc. Edinb. 55, 42 (1936).
    """
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    factor = cho_factor(correlation + RIDGE * np.eye(len(scale)))
    scaled = design / scale[:, None]
    solved = cho_solve(factor, scaled)
    inverse = np.linalg.inv(scaled.T @ solved)
    return inverse @ solved.T / scale, np.sqrt(np.diag(inverse))


def gamma_interval(value: float, dof: float) -> tuple[float, float]:
    """Return the 95 % interval of a mean square with so many degrees of freedom.

    Exact for a mean of ν squared normal numbers; unlike value ± 1.96 errors it stays
    positive, and it is not symmetric.
    """
    return (
        value * dof / float(chi2.ppf(0.975, dof)),
        value * dof / float(chi2.ppf(0.025, dof)),
    )
