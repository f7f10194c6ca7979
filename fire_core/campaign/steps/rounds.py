"""What each round spent and reached, for the policy and for the report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fire_core.campaign.kinds import CANDIDATES, DECISION, NEW_LABELS
from fire_core.campaign.names import FIRE, PERTURB, SELECTED, model_name
from fire_core.campaign.policy import RoundSummary, forecast_round
from fire_core.campaign.views.results import last_force_rmse
from fire_core.records import LabelState
from fire_core.report.loop_data import (
    LearningForecast,
    LoopData,
    ReliabilityCurve,
    RoundRow,
)

if TYPE_CHECKING:
    from fire_core.campaign.kinds import CandidateUncertainty, LabelUncertainty
    from fire_core.campaign.policy import Decision
    from fire_core.campaign.state import CampaignState
    from fire_core.config.campaign import CampaignConfig


def summarise_round(
    campaign: CampaignState,
    round_: int,
    cut: str | None = None,
    purpose: str | None = None,
) -> RoundSummary:
    """Return what a round chose, by default to train on, and how its labels ended."""
    purpose = purpose or (SELECTED if round_ else PERTURB)
    store, name = campaign.store, campaign.name
    row = store.selections.get(name, round_, purpose)
    counts = campaign.label_counts(round_, purpose)
    scored = store.evaluations.get(CANDIDATES, name, round_=round_)
    new = store.evaluations.get(NEW_LABELS, name, round_=round_)
    error = last_force_rmse(store, name, model_name(FIRE, round_)) if round_ else None
    return RoundSummary(
        round_,
        counts.get(LabelState.DONE, 0),
        counts.get(LabelState.FAILED, 0),
        0 if row is None else len(row.keys),
        cut,
        trusted=None if scored is None else scored.trusted_fraction,
        surprise=None if new is None else new.surprise,
        error=error,
    )


def gather_rounds(campaign: CampaignState, last: int) -> LoopData | None:
    """Return the rounds up to `last`; None where uncertainty does not lead."""
    store, name = campaign.store, campaign.name
    if campaign.config.uncertainty.method == "none":
        return None
    history = [summarise_round(campaign, round_) for round_ in range(last + 1)]
    rows, reliability, n_labels = [], {}, 0
    for summary in history:
        n_labels += summary.labels_done
        scored = store.evaluations.get(CANDIDATES, name, round_=summary.round)
        new = store.evaluations.get(NEW_LABELS, name, round_=summary.round)
        rows.append(_row(summary, n_labels, scored, new))
        if new is not None:
            title = f"new labels of round {summary.round}"
            reliability[title] = reliability_curve(new)
    decision = store.evaluations.get(DECISION, name)
    return LoopData(
        rows,
        "" if decision is None else _sentence(decision),
        reliability,
        _forecast(history, campaign.config),
    )


def reliability_curve(found: LabelUncertainty) -> ReliabilityCurve:
    """Return what is drawn of a comparison."""
    return ReliabilityCurve(
        expected=found.expected,
        observed=found.observed,
        predicted=found.predicted,
        measured=found.measured,
        miscalibration=found.miscalibration,
    )


def _sentence(decision: Decision) -> str:
    words = decision.action.replace("_", " ")
    return f"Ended, {words}: {decision.reason}."


def _row(
    summary: RoundSummary,
    n_labels: int,
    seen: CandidateUncertainty | None,
    came: LabelUncertainty | None,
) -> RoundRow:
    row = RoundRow(summary.round, n_labels, error=summary.error)
    if seen is not None:
        row = replace(
            row,
            trusted=seen.trusted,
            waiting=seen.waiting,
            candidate=seen.candidate,
            beyond=seen.beyond,
            target=1e3 * seen.target,
            low=1e3 * seen.low,
            high=1e3 * seen.high,
        )
    if came is not None:
        row = replace(
            row,
            observed=1e3 * came.rmse,
            expected=1e3 * came.rms_sigma,
            miscalibration=came.miscalibration,
            rank_correlation=came.rank_correlation,
        )
    return row


def _forecast(
    history: list[RoundSummary], config: CampaignConfig
) -> LearningForecast | None:
    found = forecast_round(history, config)
    if found is None:
        return None
    present = found.error / (1.0 - found.gain)
    return LearningForecast(
        found.prefactor,
        found.exponent,
        found.n_labels,
        found.error,
        present * (1.0 - found.hoped_gain),
    )
