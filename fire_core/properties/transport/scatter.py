"""How much more ions scatter than independent ones of a Gaussian process would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.properties.transport.regression import Line

    Array = NDArray[np.float64]

FEWEST_WINDOWS: Final = 20
"""Stretches of time needed to see whether ions move together."""
FEWEST_IONS: Final = 5
"""Ions of all replicas needed to see how they differ."""


def widening(
    replicas: Sequence[Array], lags: NDArray[np.int64], line: Line, counted: float
) -> float:
    """Return by what factor the variance of a slope is wider, 1 or more.

    Two things widen it. Ions that jump rarely have displacements that are not normal:
    their own slopes differ by more. Ions that move together are fewer than they seem:
    their mean varies more from one stretch of time to the next.

    Parameters
    ----------
    replicas
        Positions of each run, (n_frames, n_ions, 3), Å.
    lags
        (n,), time differences of the fit, frames.
    line
        The fit.
    counted
        Widening that the fit's errors have in them already.
    """
    variance = line.slope_error**2 / counted
    slopes = np.concatenate([_ion_slopes(x, lags, line.weights) for x in replicas])
    differ = together = 1.0
    if len(slopes) >= FEWEST_IONS:
        differ = float(np.var(slopes, ddof=1)) / len(slopes) / variance
    lag = _telling_lag(lags, line, sum(len(x) for x in replicas))
    if lag is not None and replicas[0].shape[1] > 1:
        together = _correlation(replicas, lag)
    return max(1.0, differ) * max(1.0, together)


def _ion_slopes(positions: Array, lags: NDArray[np.int64], weights: Array) -> Array:
    """Return the slope of each ion's own mean squared displacement, Å²/frame."""
    slopes = np.zeros(positions.shape[1])
    for lag, weight in zip(lags.tolist(), weights, strict=True):
        moved = positions[lag:] - positions[:-lag]
        slopes += weight * np.einsum("fia,fia->i", moved, moved) / len(moved)
    return slopes


def _telling_lag(lags: NDArray[np.int64], line: Line, n_frames: int) -> int | None:
    """Return the shortest time difference at which ions diffuse more than vibrate.

    Or a shorter one, that enough stretches of time are there; None: there never are.
    """
    enough = lags[lags <= n_frames / (FEWEST_WINDOWS + 1)]
    if not len(enough):
        return None
    diffusive = enough[line.slope * enough >= 2.0 * line.intercept]
    return int(diffusive[0] if len(diffusive) else enough[-1])


def _correlation(replicas: Sequence[Array], lag: int) -> float:
    """Return the variance of the ions' mean over that of independent ions."""
    squares = [np.sum(np.diff(x[::lag], axis=0) ** 2, axis=2) for x in replicas]
    joined = np.concatenate(squares)  # (stretches, ions), Å²
    of_mean = float(np.var(joined.mean(axis=1), ddof=1))
    of_ions = float(np.var(joined, ddof=1))
    return float(of_mean * joined.shape[1] / of_ions)
