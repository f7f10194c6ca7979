"""What a report shows of rounds led by uncertainty: plain numbers and arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One round; meV/Å where not said otherwise, None where it was not measured.

    Attributes
    ----------
    round, n_labels
        Number of the round, and labels of all rounds so far.
    trusted, waiting, candidate, beyond
        Scored candidates by the trust band, counts.
    target, low, high
        The band.
    observed, expected
        Force RMSE on the round's labels before they were trained on, and what the
        calibrated uncertainty expected.
    miscalibration, rank_correlation
        On the same labels (`uncertainty.calibration.Reliability`), no unit.
    error
        Validation force RMSE of the round's model.
    """

    round: int
    n_labels: int
    trusted: int | None = None
    waiting: int | None = None
    candidate: int | None = None
    beyond: int | None = None
    target: float | None = None
    low: float | None = None
    high: float | None = None
    observed: float | None = None
    expected: float | None = None
    miscalibration: float | None = None
    rank_correlation: float | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True)
class ReliabilityCurve:
    """Expected against observed force errors.

    Attributes
    ----------
    expected, observed
        Central fractions of a normal distribution, and the errors found in them.
    predicted, measured
        Root mean square uncertainty and RMSE of bins, eV/Å.
    miscalibration
        Mean distance of `observed` from `expected`.
    """

    expected: Sequence[float]
    observed: Sequence[float]
    predicted: Sequence[float]
    measured: Sequence[float]
    miscalibration: float


@dataclass(frozen=True, slots=True)
class LearningForecast:
    """The power law through the rounds' errors, and where the next batch would lead.

    Attributes
    ----------
    prefactor, exponent
        error = prefactor × labels^(−exponent), meV/Å.
    n_labels, error
        The point that is forecast.
    hoped_error
        The same with the exponent one standard error better.
    """

    prefactor: float
    exponent: float
    n_labels: int
    error: float
    hoped_error: float


@dataclass(frozen=True, slots=True)
class LoopData:
    """Everything that a report shows of the rounds.

    Attributes
    ----------
    rows
        One for each round.
    decision
        Why the campaign ended, in words; empty when it has not.
    reliability
        Curves by what they were measured on.
    forecast
        None before two rounds are trained.
    """

    rows: Sequence[RoundRow]
    decision: str = ""
    reliability: Mapping[str, ReliabilityCurve] = field(default_factory=dict)
    forecast: LearningForecast | None = None
