"""Gather what a report shows of the rounds, from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.campaign import forecast_round
from fire_core.reading.kinds import CANDIDATE_UNCERTAINTY, DECISION, LABEL_UNCERTAINTY
from fire_core.report.loop_data import (
    LearningForecast,
    LoopData,
    ReliabilityCurve,
    RoundRow,
)
from tasks.missing import summarise_round
from tasks.uncertainty import read_result

if TYPE_CHECKING:
    from fire_core.campaign import RoundSummary
    from fire_core.config.campaign import CampaignConfig
    from fire_core.records import JsonDict
    from fire_core.storage.store import Store
    from tasks.context import CampaignRef


def gather_rounds(
    store: Store, config: CampaignConfig, ref: CampaignRef, last: int
) -> LoopData | None:
    """Return the rounds up to `last`; None where uncertainty does not lead."""
    if config.uncertainty.method == "none":
        return None
    history = [summarise_round(ref, round_, None) for round_ in range(last + 1)]
    rows, reliability, n_labels = [], {}, 0
    for summary in history:
        n_labels += summary.labels_done
        scored = read_result(store, ref, CANDIDATE_UNCERTAINTY, summary.round)
        new = read_result(store, ref, LABEL_UNCERTAINTY, summary.round)
        rows.append(_row(summary, n_labels, scored, new))
        if new is not None:
            reliability[f"new labels of round {summary.round}"] = reliability_curve(new)
    decision = store.evaluations.get(DECISION, ref.name)
    return LoopData(
        rows,
        "" if decision is None else _sentence(decision),
        reliability,
        _forecast(history, config),
    )


def reliability_curve(result: JsonDict) -> ReliabilityCurve:
    """Return what is drawn of a `Reliability`."""
    names = ("expected", "observed", "predicted", "measured", "miscalibration")
    return ReliabilityCurve(**{name: result[name] for name in names})


def _sentence(decision: JsonDict) -> str:
    words = decision["action"].replace("_", " ")
    return f"Ended, {words}: {decision['reason']}."


def _row(
    summary: RoundSummary, n_labels: int, scored: JsonDict | None, new: JsonDict | None
) -> RoundRow:
    seen, came = scored or {}, new or {}

    def in_mev(values: JsonDict, name: str) -> float | None:
        return 1e3 * values[name] if name in values else None

    return RoundRow(
        summary.round,
        n_labels,
        seen.get("trusted"),
        seen.get("waiting"),
        seen.get("candidate"),
        seen.get("beyond"),
        in_mev(seen, "target"),
        in_mev(seen, "low"),
        in_mev(seen, "high"),
        in_mev(came, "rmse"),
        in_mev(came, "rms_sigma"),
        came.get("miscalibration"),
        came.get("rank_correlation"),
        summary.error,
    )


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
