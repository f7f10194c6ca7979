"""One campaign: where it stands, what it found, what it cost."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse
from pydantic import ValidationError

from dashboard import figures
from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.pages.campaigns import ask_runs, read_decision, read_lines
from dashboard.prefect_api import find_runs
from dashboard.rendering import render
from fire_core.campaign import PRE_FINE_TUNED
from fire_core.config.campaign import CampaignConfig
from fire_core.config.environment import results_folder
from fire_core.labelling.theory import theory_from_config
from fire_core.reading import results
from fire_core.records import LabelState
from fire_core.report.data import MODEL_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.records import JsonDict
    from fire_core.storage.campaigns import CampaignRow, UsageRow
    from fire_core.storage.models import EvaluationRow
    from fire_core.storage.store import Store

router = APIRouter()
OPEN: Final = (LabelState.WANTED, LabelState.CLAIMED)
Seeing = Annotated[Visitor, Depends(need(Right.SEE))]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a campaign used, in hours, and what a better force cost.

    `per_gain` is in core-hours of everything per meV/Å of force error that the last
    model is below the foundation model; None where it is not below.
    """

    core: float
    gpu: float
    labels: float
    per_gain: float | None


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of a campaign: planned in all, done, and when the last is expected."""

    planned: int | None
    done: int
    end: float | None
    history: list[tuple[float, float]]


@router.get("/campaigns/{name}")
def show(request: Request, visitor: Seeing, name: str) -> Response:
    """Show a campaign."""
    store: Store = request.app.state.store()
    row = need_campaign(store, name)
    config = read_config(row)
    line = read_lines(store, [row], ask_runs())[0]
    api = os.environ.get("PREFECT_API_URL", "")
    usage = store.get_usage(name)
    judged = results.read_judgements(store, name, line.round)
    labels = read_labels(store, name, config)
    return render(
        request,
        "campaign",
        visitor=visitor,
        name=name,
        line=line,
        decision=read_decision(store, name),
        labels=labels,
        usage=usage,
        cost=read_cost(usage, labels, judged),
        judged=judged,
        titles=MODEL_NAMES,
        rounds=read_rounds(store, name, line.round),
        choices=[c for c in store.choice_sizes() if c.campaign == name],
        approvals=store.list_approvals(name),
        runs=find_runs(api, f"campaign:{name}") if api else [],
        plots=draw(store, config, (name, line.round), judged, usage, labels),
        config_json=json.dumps(json.loads(row.config_json), indent=2),
        is_readable=config is not None,
        has_report=report_page(config, name) is not None,
    )


@router.get("/campaigns/{name}/report.html")
def download_report(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.DOWNLOAD))],  # noqa: ARG001
    name: str,
) -> Response:
    """Send the report as a file."""
    row = need_campaign(request.app.state.store(), name)
    page = report_page(read_config(row), name)
    if page is None:
        raise HTTPException(404, f"no report of {name!r} lies where this server looks")
    return FileResponse(page, filename=f"{name}-report.html", media_type="text/html")


def need_campaign(store: Store, name: str) -> CampaignRow:
    """Return a campaign, or answer that there is none."""
    row = store.get_campaign(name)
    if row is None:
        raise HTTPException(404, f"no campaign {name!r} in this store")
    return row


def read_config(row: CampaignRow) -> CampaignConfig | None:
    """Return the configuration; None where another FIRE wrote it differently."""
    try:
        return CampaignConfig.model_validate_json(row.config_json)
    except ValidationError:
        return None


def report_page(config: CampaignConfig | None, name: str) -> Path | None:
    """Return the report's file, where this server sees it."""
    folder = (config and config.results) or results_folder(name)
    page = Path(folder) / "report.html"
    return page if page.is_file() else None


def read_labels(store: Store, name: str, config: CampaignConfig | None) -> Labels:
    """Return how far a campaign's labels are, and when they end at this pace."""
    history = store.label_history(name)
    planned = None if config is None else planned_labels(config)
    end = None
    if planned is not None and len(history) > 1 and len(history) < planned:
        recent = history[-50:]
        span = recent[-1][0] - recent[0][0]
        pace = span / (len(recent) - 1)
        now, last = time.time(), recent[-1][0]
        if now - last < max(3600.0, 10 * pace):  # it goes on
            # Between two rounds of labels nothing moves but the time.
            end = max(last + pace, now) + pace * (planned - len(history) - 1)
    return Labels(planned, len(history), end, history)


def planned_labels(config: CampaignConfig) -> int:
    """Return how many labels a campaign wants at most."""
    wanted = config.perturb.n + config.rounds * (config.select.n + config.evaluate.n)
    most = config.budget.labels
    return wanted if most is None else min(wanted, most)


def read_cost(
    usage: Sequence[UsageRow], labels: Labels, judged: dict[str, JsonDict]
) -> Cost:
    """Return what was spent, and per meV/Å gained."""
    core = sum(row.core_s for row in usage) / 3600.0
    gain = 0.0
    if {"zero_shot", "fire"} <= judged.keys():
        before, after = (judged[k]["test"]["force_rmse"] for k in ("zero_shot", "fire"))
        gain = before - after
    return Cost(
        core=core,
        gpu=sum(row.gpu_s for row in usage) / 3600.0,
        labels=sum(s for _, s in labels.history) / 3600.0,
        per_gain=core / gain if gain > 0 else None,
    )


def read_rounds(store: Store, name: str, last: int) -> list[dict[str, Any]]:
    """Return what uncertainty said of each round; empty where it did not lead."""
    rows = []
    for number in range(1, last + 1):
        parts = {
            what: store.get_evaluation(name, what, f"round-{number}")
            for what in ("uncertainty-of-candidates", "uncertainty-of-new-labels")
        }
        if any(parts.values()):
            seen, came = (_facts(part) for part in parts.values())
            rows.append({"round": number, "seen": seen, "came": came})
    return rows


def _facts(row: EvaluationRow | None) -> JsonDict:
    return {} if row is None else dict(json.loads(row.result_json))


def draw(
    store: Store,
    config: CampaignConfig | None,
    which: tuple[str, int],
    judged: dict[str, JsonDict],
    usage: Sequence[UsageRow],
    labels: Labels,
) -> dict[str, Any]:
    """Return the figures that there are numbers for."""
    name, round_ = which
    plots: dict[str, Any] = {}
    if labels.history:
        plots["labels"] = figures.draw_burn_down(
            labels.history, labels.planned, labels.end
        )
    if usage:
        plots["steps"] = figures.draw_timeline(usage)
    stored = [m for m, _ in store.model_states().get(name, [])]
    curves = {m: results.read_learning_curve(store, name, m) for m in stored}
    curves |= (
        {}
        if stored
        else {PRE_FINE_TUNED: results.read_learning_curve(store, name, PRE_FINE_TUNED)}
    )
    known = {m: curve for m, curve in curves.items() if curve is not None}
    if known:
        plots["learning"] = figures.draw_learning(known)
    arrays = {
        k: results.read_arrays(store, j["curves_blob"]) for k, j in judged.items()
    }
    if arrays:
        last = list(arrays)[-1] if "fire" not in arrays else "fire"
        elements = None
        if config is not None:
            theory = theory_from_config(config.theory).fingerprint
            elements = results.test_elements(store, name, round_, theory)
        plots["parity"] = figures.draw_parity(results.parity_of(arrays[last]), elements)
        plots["stability"] = figures.draw_stability(
            {k: results.stability_of(a, judged[k]) for k, a in arrays.items()}
        )
    return plots
