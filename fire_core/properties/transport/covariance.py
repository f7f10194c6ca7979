"""How the errors of a mean squared displacement at different times go together."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def msd_covariance(
    lags: NDArray[np.int64], n_frames: int, slope: float, intercept: float
) -> Array:
    """Return the covariance of a time-averaged squared displacement in one direction.

    For a Gaussian process with stationary increments whose displacement over n frames
    has the variance g(n) = intercept + slope n, g(0) = 0: a random walk whose ions also
    vibrate. Two displacements with the covariance c have squares with the covariance
    2c², and c = [g(|i-τ|) + g(|j+τ|) - g(|τ|) - g(|i-j-τ|)] / 2 for lags i, j whose
    origins are τ frames apart; the sum runs over all pairs of origins.
    J. T. Bullerjahn et al., J. Chem. Phys. 153, 024116 (2020), treat the same process.

    Parameters
    ----------
    lags
        (n,), time differences in frames, each below `n_frames`.
    n_frames
        Frames of the trajectory.
    slope, intercept
        Å² per frame and Å², not negative.

    Returns
    -------
    (n, n), Å⁴, of one ion; divide by the number of independent ions and directions.
    """
    squares = _quadratic(tuple(lags.tolist()), n_frames)
    amounts = np.array([slope**2, slope * intercept, intercept**2])
    return np.asarray(np.tensordot(amounts, squares, axes=1))


@lru_cache(maxsize=64)
def _quadratic(lags: tuple[int, ...], n_frames: int) -> Array:
    """Return the covariance's terms in slope², slope × intercept and intercept².

    (3, n, n); c is linear in slope and intercept.
    """
    result = np.empty((3, len(lags), len(lags)))
    for row, i in enumerate(lags):
        for column, j in enumerate(lags[: row + 1]):
            tau = np.arange(-j, i + 1)  # displacements that overlap or touch
            n_i, n_j = n_frames - i, n_frames - j
            pairs = np.minimum(n_i, n_j - tau) - np.maximum(0, -tau)
            pairs = np.maximum(pairs, 0) / (n_i * n_j)
            walk = (np.abs(i - tau) + np.abs(j + tau) - np.abs(tau)) / 2
            walk -= np.abs(i - j - tau) / 2
            shake = ((i != tau) * 1.0 + (j != -tau) - (tau != 0)) / 2
            shake -= (i - j != tau) / 2
            terms = (walk**2, 2 * walk * shake, shake**2)
            found = [2.0 * np.sum(pairs * term) for term in terms]
            result[:, row, column] = result[:, column, row] = found
    return result
