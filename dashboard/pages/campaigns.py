"""The first page: every campaign at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.prefect_api import last_campaign_runs, prefect_address
from dashboard.rendering import render
from fire_core.campaign.views.overview import list_campaigns, read_lines
from fire_core.records import LabelState

if TYPE_CHECKING:
    from fire_core.storage.store import Store

router = APIRouter()
PAGE: Final = 50


@router.get("/")
def show(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.SEE))],
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> Response:
    """Show the campaigns, newest first."""
    store: Store = request.app.state.store()
    rows = list_campaigns(store)[::-1]
    first = PAGE * (page - 1)
    counts = store.labels.counts()
    runs = last_campaign_runs(prefect_address())
    return render(
        request,
        "campaigns",
        visitor=visitor,
        lines=read_lines(store, rows[first : first + PAGE], runs),
        page=page,
        more=len(rows) > first + PAGE,
        total=len(rows),
        structures=store.structures.count(),
        counts={state.value: counts.get(state, 0) for state in LabelState},
    )
