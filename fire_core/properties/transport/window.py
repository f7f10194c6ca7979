"""Where a mean squared displacement is diffusive; if nowhere, how long it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import chi2

from fire_core.properties.transport.regression import Line, fit_line, solve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LAGS: Final = 24
"""Time differences of a fit, evenly spaced in their logarithm."""
LONGEST: Final = 0.5
"""Longest time difference of a fit, part of the run."""
LATEST_START: Final = 0.1
"""Latest beginning of a fit, part of the run."""
FEWEST_FRAMES: Final = 20
MOST_DOUBT: Final = 0.15
"""Largest standard error of an exponent that still tells diffusion."""
NEAR_ONE: Final = 0.1
"""An exponent so near to one is one, however small its error."""
ERRORS_AWAY: Final = 2.58
"""Errors from one of an exponent that is not one any more (1 % of honest runs)."""
FURTHEST: Final = 0.25
"""An exponent further from one is not one, however large its error."""
BY_CHANCE: Final = 0.005
"""Probability below which a displacement has left the line."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A fit over a window of time differences, and whether it shows diffusion.

    Attributes
    ----------
    lags
        (n,), frames.
    line
        The fit.
    exponent, exponent_error
        α in MSD(t) - MSD(t₀) ∝ (t - t₀)^α with t₀ the beginning of the window, which
        vibrations drop out of: 1 for diffusion; nan where the displacement falls.
    growth
        What diffusion added to the displacement by the end of the window, Å²: by the
        line or by what is there, whichever is less.
    flattening
        Smallest probability that a displacement late in the window falls so far below
        the line by chance.
    late_slope, late_error
        Slope over the second half of the window, Å²/frame.
    """

    lags: NDArray[np.int64]
    line: Line
    exponent: float
    exponent_error: float
    growth: float
    flattening: float
    late_slope: float
    late_error: float

    @property
    def is_straight(self) -> bool:
        """Return whether the displacement grows in proportion to time."""
        known = self.exponent_error <= MOST_DOUBT  # nan is not
        away = abs(self.exponent - 1.0)
        allowed = min(ERRORS_AWAY * self.exponent_error, FURTHEST)
        straight = away <= max(NEAR_ONE, allowed)
        return known and straight and self.flattening >= BY_CHANCE

    def needed(self, least: float) -> float:
        """Return the growth that tells diffusion from rattling, Å², `least` or more."""
        return max(least, self.line.intercept)


def fit_window(
    msd: Array, first: int, last: int, n_frames: int, n_independent: float
) -> Window:
    """Fit a mean squared displacement between two time differences, in frames."""
    lags = np.unique(np.geomspace(first, last, LAGS).round().astype(np.int64))
    line = fit_line(lags, msd[lags], n_frames, n_independent)
    exponent, exponent_error = _find_exponent(lags, msd[lags], line)
    middle = int(np.searchsorted(lags, lags[-1] / 2))
    ends = np.zeros(len(lags))
    ends[[middle, -1]] = -1.0, 1.0
    span = float(lags[-1] - lags[middle])
    return Window(
        lags=lags,
        line=line,
        exponent=exponent,
        exponent_error=exponent_error,
        growth=min(line.slope * float(lags[-1]), float(msd[last]) - line.intercept),
        flattening=_find_flattening(lags, msd[lags], line),
        late_slope=float(ends @ msd[lags]) / span,
        late_error=float(np.sqrt(ends @ line.covariance @ ends)) / span,
    )


def find_window(
    msd: Array, earliest: int, n_frames: int, n_independent: float, least_growth: float
) -> tuple[Window | None, bool]:
    """Return the first window that is diffusive and whether there is one.

    Without one, the last window that was looked at is returned; None where the run is
    too short for any. A window ends at half of the run.

    Parameters
    ----------
    msd
        (n_frames,), Å², by time difference in frames.
    earliest
        No window begins before, frames.
    n_frames
        Frames of the run.
    n_independent
        Independent ions × directions × replicas.
    least_growth
        Å² that diffusion has to add within a window.
    """
    window = None
    for first in _starts(earliest, n_frames):
        last = int(LONGEST * n_frames)
        window = fit_window(msd, first, last, n_frames, n_independent)
        if window.is_straight and window.growth >= window.needed(least_growth):
            return window, True
    return window, False


def explain(window: Window | None, n_frames: int, interval: float, least: float) -> str:
    """Explain why there is no diffusion coefficient, and how long a run would need.

    `interval` is in ps, `least` the growth that is asked for, Å².
    """
    length = interval * (n_frames - 1)
    if window is None:
        need = round_up(max(2.0 * length, FEWEST_FRAMES * interval))
        return (
            f"not diffusive yet, need more than {need:g} ps: {n_frames} frames of "
            f"{interval:g} ps hold no window after the vibrations"
        )
    growth, least = max(window.growth, 0.0), window.needed(least)
    if growth < least:
        need, bound = _time_to_grow(window, interval, least)
        why = (
            f"diffusion adds {growth:.2g} Å² by half of the run, asked are {least:.3g}"
        )
    else:
        doubt = window.exponent_error / MOST_DOUBT  # errors fall as 1/√length
        known = math.isfinite(window.exponent)
        need = length * (max(2.0, doubt**2) if known else 2.0)
        bound = not known
        why = f"the displacement grows as t^({_exponent_text(window)})"
    need = round_up(max(need, 1.5 * length))
    about = "more than" if bound else "about"
    return f"not diffusive yet, need {about} {need:g} ps: {why}"


def round_up(number: float) -> float:
    """Round up to two digits."""
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    return math.ceil(number / unit - 1e-9) * unit


def _starts(earliest: int, n_frames: int) -> Iterator[int]:
    """Yield beginnings of windows in frames, each twice the one before."""
    if n_frames < FEWEST_FRAMES or earliest > 0.2 * n_frames:
        return
    first = earliest
    yield first
    while 2 * first <= LATEST_START * n_frames:
        first *= 2
        yield first


def _find_exponent(
    lags: NDArray[np.int64], msd: Array, line: Line
) -> tuple[float, float]:
    """Fit α of MSD(t) - MSD(t₀) ∝ (t - t₀)^α; nan where the displacement falls."""
    later = np.flatnonzero(lags >= 2 * lags[0])
    grown = msd[later] - msd[0]
    if len(later) < 3 or (grown <= 0).any():
        return float("nan"), float("nan")
    change = np.zeros((len(later), len(lags)))
    change[np.arange(len(later)), later] = 1.0
    change[:, 0] = -1.0
    change /= grown[:, None]
    covariance = change @ line.covariance @ change.T
    logs = np.log(lags[later] - lags[0])
    weights, errors = solve(np.column_stack([logs, np.ones(len(logs))]), covariance)
    return float(weights[0] @ np.log(grown)), float(errors[0])


def _find_flattening(lags: NDArray[np.int64], msd: Array, line: Line) -> float:
    """Return how probable the late displacements are, if the line went on.

    At the end and the middle of the window, on the logarithmic scale of its lags. A
    line is held by the beginning of its window, where there are most displacements; a
    cage shows at its end. A displacement is a mean of squares, so it follows a χ²
    distribution with the degrees of freedom of its error.
    """
    predicted = line.intercept + line.slope * lags
    least = 1.0
    for where in (len(lags) // 2, len(lags) - 1):
        if predicted[where] <= 0:
            return 0.0
        dof = 2.0 * predicted[where] ** 2 / line.covariance[where, where]
        least = min(least, chi2.cdf(dof * msd[where] / predicted[where], dof))
    return float(least)


def _time_to_grow(window: Window, interval: float, least: float) -> tuple[float, bool]:
    """Return the length, ps, at which half a run's growth suffices; True: a bound.

    By the slope of the late part; where that is within two errors of none, by the
    largest slope that it allows.
    """
    seen = window.late_slope > 2.0 * window.late_error
    slope = window.late_slope
    if not seen:
        slope = max(slope, 0.0) + 2.0 * window.late_error
    slope = max(slope, 1e-12)
    return interval * least / slope / LONGEST, not seen


def _exponent_text(window: Window) -> str:
    if not math.isfinite(window.exponent):
        return "0"
    return f"{window.exponent:.2f} ± {window.exponent_error:.2f}"
