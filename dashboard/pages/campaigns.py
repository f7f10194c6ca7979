"""The first page: every campaign at a glance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.rendering import render
from fire_core.campaign import PERTURB, SELECTED, TEST
from fire_core.config.campaign import STUDY_PREFIX
from fire_core.reading.kinds import DECISION
from fire_core.records import LabelState
from fire_core.storage.approvals import ApprovalState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fire_core.storage.campaigns import CampaignRow
    from fire_core.storage.steps import RunningStep
    from fire_core.storage.store import Store

router = APIRouter()
PAGE: Final = 50
PAID: Final = (PERTURB, SELECTED, TEST)
"""Choices whose structures are labelled."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a campaign stands: one word of it, and a sentence."""

    word: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A campaign on the list; seconds, and seconds since 1970."""

    name: str
    progress: Progress
    round: int
    rounds: int
    chosen: int
    models: list[tuple[str, str]]
    core_s: float
    gpu_s: float
    last_at: float
    owner: str


@router.get("/")
def show(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.SEE))],
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> Response:
    """Show the campaigns, newest first."""
    store: Store = request.app.state.store()
    rows = [
        row
        for row in reversed(store.campaigns.list())
        if not row.name.startswith(STUDY_PREFIX)
    ]
    first = PAGE * (page - 1)
    counts = store.labels.counts()
    return render(
        request,
        "campaigns",
        visitor=visitor,
        lines=read_lines(store, rows[first : first + PAGE]),
        page=page,
        more=len(rows) > first + PAGE,
        total=len(rows),
        structures=store.structures.count(),
        counts={state.value: counts.get(state, 0) for state in LabelState},
    )


def read_lines(store: Store, rows: Sequence[CampaignRow]) -> list[Line]:
    """Return the campaigns of a page, in a number of queries that does not grow."""
    usage, models = store.usage.totals(), store.models.states()
    running = {step.campaign: step for step in store.steps.running()}
    sizes: dict[str, dict[tuple[int, str], int]] = {}
    for size in store.selections.sizes():
        sizes.setdefault(size.campaign, {})[size.round, size.purpose] = size.size
    decided = store.evaluations.campaigns(DECISION)
    pending = {
        row.campaign
        for row in store.approvals.list()
        if row.state is ApprovalState.PENDING
    }
    lines = []
    for row in rows:
        total, chosen = usage.get(row.name), sizes.get(row.name, {})
        config = json.loads(row.config_json)
        progress = tell_progress(
            running.get(row.name),
            is_pending=row.name in pending,
            is_decided=row.name in decided,
            chosen=chosen,
        )
        lines.append(
            Line(
                name=row.name,
                progress=progress,
                round=max((number for number, _ in chosen), default=0),
                rounds=config.get("rounds", 1),
                chosen=sum(n for (_, p), n in chosen.items() if p in PAID),
                models=models.get(row.name, []),
                core_s=0.0 if total is None else total.core_s,
                gpu_s=0.0 if total is None else total.gpu_s,
                last_at=row.created_at if total is None else total.last_at,
                owner=config.get("owner") or "",
            )
        )
    return lines


def tell_progress(
    step: RunningStep | None,
    *,
    is_pending: bool,
    is_decided: bool,
    chosen: Mapping[tuple[int, str], int],
) -> Progress:
    """Say where a campaign stands."""
    if is_pending:
        return Progress("approval", "waits for somebody to approve its labels")
    if step is not None and step.late_s <= 0:
        return Progress("running", f"{step.step} on {step.owner}")
    if is_decided:
        return Progress("finished", "came to its end")
    if step is not None:
        return Progress("gone", f"{step.step} was left by {step.owner}")
    if not chosen:
        return Progress("new", "has not begun")
    return Progress("waiting", "no step of it is held; between steps, or stopped")


def read_decision(store: Store, name: str) -> str:
    """Return why a campaign ended, in words; empty while it has not."""
    found = store.evaluations.get(DECISION, name)
    if found is None:
        return ""
    return f"{found['action'].replace('_', ' ')}: {found['reason']}"
