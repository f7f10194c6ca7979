"""One campaign: where it stands, what it found, what it cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse

from dashboard import figures
from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.found import need_campaign
from dashboard.prefect_api import find_runs, last_campaign_runs, prefect_address
from dashboard.rendering import render
from fire_core.campaign.names import PRE_FINE_TUNED
from fire_core.campaign.state import CampaignState
from fire_core.campaign.views import results
from fire_core.campaign.views.campaign import read_cost, read_labels, read_rounds
from fire_core.campaign.views.overview import read_decision, read_lines
from fire_core.config.environment import results_folder
from fire_core.errors import StoreError, StoreUnavailableError
from fire_core.records import LabelState
from fire_core.report.data import MODEL_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.campaign.kinds import Judgement
    from fire_core.campaign.views.campaign import Labels
    from fire_core.config.campaign import CampaignConfig
    from fire_core.storage.campaigns import CampaignRow
    from fire_core.storage.store import Store
    from fire_core.storage.usage import UsageRow

router = APIRouter()
OPEN: Final = (LabelState.WANTED, LabelState.CLAIMED)
Seeing = Annotated[Visitor, Depends(need(Right.SEE))]


@router.get("/campaigns/{name}")
def show(request: Request, visitor: Seeing, name: str) -> Response:
    """Show a campaign."""
    store: Store = request.app.state.store()
    row = need_campaign(store, name)
    campaign = open_row(store, row)
    config = None if campaign is None else campaign.config
    api = prefect_address()
    line = read_lines(store, [row], last_campaign_runs(api))[0]
    usage = store.usage.list(name)
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
        choices=[c for c in store.selections.sizes() if c.campaign == name],
        approvals=store.approvals.list(name),
        runs=find_runs(api, f"campaign:{name}") if api else [],
        plots=draw(store, campaign, (name, line.round), judged, usage, labels),
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
    campaign = open_row(request.app.state.store(), row)
    page = report_page(None if campaign is None else campaign.config, name)
    if page is None:
        raise HTTPException(404, f"no report of {name!r} lies where this server looks")
    return FileResponse(page, filename=f"{name}-report.html", media_type="text/html")


def open_row(store: Store, row: CampaignRow) -> CampaignState | None:
    """Return a campaign; None where another FIRE wrote its settings differently."""
    try:
        return CampaignState.within(store, row)
    except StoreUnavailableError:
        raise
    except StoreError:
        return None


def report_page(config: CampaignConfig | None, name: str) -> Path | None:
    """Return the report's file, where this server sees it."""
    folder = (config and config.results) or results_folder(name)
    page = Path(folder) / "report.html"
    return page if page.is_file() else None


def draw(
    store: Store,
    campaign: CampaignState | None,
    which: tuple[str, int],
    judged: dict[str, Judgement],
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
    stored = [m for m, _ in store.models.states().get(name, [])]
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
        kind: results.read_arrays(store, found.curves_blob)
        for kind, found in judged.items()
        if found.curves_blob is not None
    }
    if arrays:
        last = list(arrays)[-1] if "fire" not in arrays else "fire"
        elements = None
        if campaign is not None:
            theory = campaign.theory()
            elements = results.test_elements(store, name, round_, theory)
        plots["parity"] = figures.draw_parity(results.parity_of(arrays[last]), elements)
        plots["stability"] = figures.draw_stability(
            {k: results.stability_of(a, judged[k]) for k, a in arrays.items()}
        )
    return plots
