"""What the next batch of labels would buy: the learning curve, continued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A model's error, meV/Å, after so many labels."""

    n_labels: int
    error: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """A power law error = prefactor × labels^(−exponent), and where it leads.

    Attributes
    ----------
    prefactor, exponent
        Least squares in the logarithms (Cortes et al., NIPS 6 (1993) 327).
    exponent_error
        Standard error of the exponent; None with two points, which any law fits.
    n_labels
        Labels after the next batch.
    error
        Forecast there, meV/Å.
    gain
        Part of the present error, by the law, that the batch takes away.
    hoped_gain
        The same with the exponent one standard error better.
    """

    prefactor: float
    exponent: float
    exponent_error: float | None
    n_labels: int
    error: float
    gain: float
    hoped_gain: float


def forecast_error(points: Sequence[CurvePoint], n_more: int) -> Forecast | None:
    """Continue a learning curve by `n_more` labels; None with fewer than two points."""
    labels = np.array([point.n_labels for point in points], float)
    if len(np.unique(labels)) < 2:
        return None
    x, y = np.log(labels), np.log([point.error for point in points])
    slope, start = np.polyfit(x, y, 1)
    spread = None
    if len(points) > 2:
        left = y - (start + slope * x)
        variance = float(left @ left) / (len(points) - 2)
        spread = float(np.sqrt(variance / np.sum((x - x.mean()) ** 2)))
    last = float(labels.max())
    after = last + n_more
    exponent = -float(slope)
    return Forecast(
        prefactor=float(np.exp(start)),
        exponent=exponent,
        exponent_error=spread,
        n_labels=round(after),
        error=float(np.exp(start + slope * np.log(after))),
        gain=_gain(exponent, after / last),
        hoped_gain=_gain(exponent + (spread or 0.0), after / last),
    )


def _gain(exponent: float, growth: float) -> float:
    return 1.0 - float(growth**-exponent)
