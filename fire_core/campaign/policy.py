"""The policy of a campaign: history and configuration in, decision out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from fire_core.uncertainty.forecast import CurvePoint, forecast_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.config.campaign import CampaignConfig
    from fire_core.uncertainty.forecast import Forecast


class Action(StrEnum):
    """What a campaign does after a round."""

    CONTINUE = "continue"
    CONVERGED = "converged"
    NOT_WORTH_IT = "not_worth_it"
    FINISHED = "finished"
    EXHAUSTED = "exhausted"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """What one finished round spent and reached.

    Attributes
    ----------
    round
        0 is the pre-fine-tune.
    labels_done, labels_failed
        Of the structures that the round chose.
    candidates
        Structures that were chosen from the exploration.
    cut
        Why fewer labels than chosen were paid for; None: all were.
    trusted
        Part of the scored candidates that the model before the round knew well enough;
        None where no uncertainty was computed.
    surprise
        Observed force RMSE on the round's labels, before training on them, as a
        multiple of the expected one; None as above.
    error
        Validation force RMSE of the model trained on all labels so far, meV/Å; None
        where none was.
    """

    round: int
    labels_done: int
    labels_failed: int
    candidates: int
    cut: str | None = None
    trusted: float | None = None
    surprise: float | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do next, and why in one sentence."""

    action: Action
    reason: str


def decide(history: Sequence[RoundSummary], config: CampaignConfig) -> Decision:
    """Return whether a campaign explores another round.

    A campaign stops where a round gave nothing to train on, is exhausted where budget
    or a person allowed fewer labels than a round chose, and is finished once the
    configured number of rounds is done. Led by uncertainty, it ends before that where
    the candidates are known well enough (`is_converged`) or the next batch is forecast
    to buy too little (`forecast_round`).
    """
    if not history:
        return Decision(Action.CONTINUE, "nothing has been labelled yet")
    last = history[-1]
    if (ended := _cannot_go_on(last) or _end_early(history, config)) is not None:
        return ended
    if last.round >= config.rounds:
        if last.trusted is None:
            reason = f"{config.rounds} configured round(s) done"
            return Decision(Action.FINISHED, reason)
        return Decision(
            Action.EXHAUSTED,
            f"{config.rounds} round(s) are used up; {100 * last.trusted:.0f} % of the "
            f"candidates are trusted, uncertainty.converged is "
            f"{100 * config.uncertainty.converged:.0f} %",
        )
    return Decision(
        Action.CONTINUE, f"round {last.round + 1} of {config.rounds} is due"
    )


def _cannot_go_on(last: RoundSummary) -> Decision | None:
    """Return why a round gave no more to go on with; None: it did."""
    if last.cut is not None and (last.round > 0 or last.labels_done == 0):
        return Decision(Action.EXHAUSTED, f"round {last.round} was cut: {last.cut}")
    if last.round > 0 and last.candidates == 0 and last.trusted is not None:
        return Decision(
            Action.EXHAUSTED,
            f"every candidate of round {last.round} is beyond reach or like what is "
            "labelled: see uncertainty.trust.high, or lower explore.temperatures",
        )
    if last.round > 0 and last.candidates == 0:
        return Decision(
            Action.STOP,
            f"round {last.round} explored no usable candidate: the model is unstable; "
            "lower explore.temperatures or raise perturb.n",
        )
    if last.labels_done == 0:
        return Decision(
            Action.STOP,
            f"round {last.round} has no finished label ({last.labels_failed} failed): "
            "see `fire label failures`",
        )
    return None


def is_converged(last: RoundSummary, config: CampaignConfig) -> bool:
    """Return whether the model knew a round's candidates, and was right about that.

    Enough of them are trusted, and the errors on the labels that were bought all the
    same are within the calibrated band: at most `tolerance` times what was expected.
    """
    if last.trusted is None or last.surprise is None:
        return False
    limits = config.uncertainty
    return last.trusted >= limits.converged and last.surprise <= limits.tolerance


def forecast_round(
    history: Sequence[RoundSummary], config: CampaignConfig
) -> Forecast | None:
    """Continue the learning curve by the next round's labels.

    The pre-fine-tuned model is left out: its validation structures are perturbed ones,
    easier than what dynamics reaches. None before two rounds are trained.
    """
    labels, points = 0, []
    for row in history:
        labels += row.labels_done
        if row.round > 0 and row.error is not None:
            points.append(CurvePoint(labels, row.error))
    return forecast_error(points, config.select.n)


def _end_early(
    history: Sequence[RoundSummary], config: CampaignConfig
) -> Decision | None:
    last, limits = history[-1], config.uncertainty
    if limits.method == "none" or last.round == 0:
        return None
    if is_converged(last, config):
        reason = (
            f"{100 * (last.trusted or 0):.0f} % of round {last.round}'s candidates are "
            f"trusted, and the new labels' errors are {last.surprise:.2f} of what was "
            "expected"
        )
        return Decision(Action.CONVERGED, reason)
    forecast = forecast_round(history, config)
    if (
        forecast is not None
        and forecast.exponent_error is not None
        and forecast.hoped_gain < limits.min_gain
    ):
        reason = (
            f"{config.select.n} more labels are forecast to lower the force RMSE by "
            f"{100 * forecast.gain:.1f} %, {100 * forecast.hoped_gain:.1f} % at best; "
            f"uncertainty.min_gain is {100 * limits.min_gain:.1f} %"
        )
        return Decision(Action.NOT_WORTH_IT, reason)
    return None


def last_trained(history: Sequence[RoundSummary]) -> int | None:
    """Return the last round that fine-tuned a model; None where none did."""
    trained = [r.round for r in history if r.round > 0 and r.labels_done > 0]
    return trained[-1] if trained else None
