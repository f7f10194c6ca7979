"""The first page: every campaign at a glance."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.prefect_api import ENDED_BADLY, latest_campaign_runs
from dashboard.rendering import render
from fire_core.campaign import DECISION, FIRE, PERTURB, SELECTED, TEST
from fire_core.config.campaign import STUDY_PREFIX
from fire_core.records import LabelState
from fire_core.storage.approvals import ApprovalState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dashboard.prefect_api import Run
    from fire_core.storage.browsing.campaigns import RunningStep
    from fire_core.storage.campaigns import CampaignRow
    from fire_core.storage.store import Store

router = APIRouter()
PAGE: Final = 50
MOST_SAID: Final = 300
"""Characters of an error that are shown."""
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
        for row in reversed(store.list_campaigns())
        if not row.name.startswith(STUDY_PREFIX)
    ]
    first = PAGE * (page - 1)
    counts = store.label_counts()
    return render(
        request,
        "campaigns",
        visitor=visitor,
        lines=read_lines(store, rows[first : first + PAGE], ask_runs()),
        page=page,
        more=len(rows) > first + PAGE,
        total=len(rows),
        structures=store.count_structures(),
        counts={state.value: counts.get(state, 0) for state in LabelState},
    )


def ask_runs() -> dict[str, Run]:
    """Return each campaign's last run; empty where no server is known or answers."""
    api = os.environ.get("PREFECT_API_URL", "")
    return latest_campaign_runs(api) if api else {}


def read_lines(
    store: Store, rows: Sequence[CampaignRow], runs: Mapping[str, Run]
) -> list[Line]:
    """Return the campaigns of a page, in a number of queries that does not grow."""
    usage, models = store.usage_totals(), store.model_states()
    running = {step.campaign: step for step in store.running_steps()}
    sizes: dict[str, dict[tuple[int, str], int]] = {}
    for size in store.choice_sizes():
        sizes.setdefault(size.campaign, {})[size.round, size.purpose] = size.size
    evaluated = store.evaluated()
    pending = {
        row.campaign
        for row in store.list_approvals()
        if row.state is ApprovalState.PENDING
    }
    lines = []
    for row in rows:
        total, chosen = usage.get(row.name), sizes.get(row.name, {})
        config = json.loads(row.config_json)
        progress = tell_progress(
            running.get(row.name),
            is_pending=row.name in pending,
            is_over=_is_over(evaluated.get(row.name, set())),
            chosen=chosen,
            run=runs.get(row.name),
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
    is_over: bool,
    chosen: Mapping[tuple[int, str], int],
    run: Run | None = None,
) -> Progress:
    """Say where a campaign stands: what its run says, where there is one.

    Parameters
    ----------
    step
        The step of it that somebody holds, or has left.
    is_pending
        Whether its labels wait for approval.
    is_over
        Whether the rounds have ended and the last model is judged.
    chosen
        Sizes of its choices.
    run
        Its last run; None where no server knows one.
    """
    is_held = step is not None and step.late_s <= 0
    if run is not None and run.kind in ENDED_BADLY and not is_held:
        why = f": {run.message[:MOST_SAID]}" if run.message else ""
        return Progress(run.kind, f"its last run {run.kind}{why}")
    if is_pending:
        return Progress("approval", "waits for somebody to approve its labels")
    if step is not None and is_held:
        return Progress("running", f"{step.step} on {step.owner}")
    if run is not None and not run.is_over:
        return Progress(run.kind, f"its run is {run.state}, between two steps")
    if is_over:
        return Progress("finished", "came to its end")
    return _stopped(step, has_begun=bool(chosen))


def _stopped(step: RunningStep | None, *, has_begun: bool) -> Progress:
    """Say where a campaign stands that nobody works on, and that is not finished."""
    if step is not None:
        return Progress("gone", f"{step.step} was left by {step.owner}")
    if not has_begun:
        return Progress("new", "has not begun")
    return Progress("waiting", "no step of it is held; between steps, or stopped")


def _is_over(measured: set[tuple[str, str]]) -> bool:
    """Say whether the rounds have ended and the test set has judged the last model."""
    judged = any(model == FIRE and data.startswith(TEST) for model, data in measured)
    return judged and DECISION in measured


def read_decision(store: Store, name: str) -> str:
    """Return why a campaign ended, in words; empty while it has not."""
    row = store.get_evaluation(name, *DECISION)
    if row is None:
        return ""
    found = json.loads(row.result_json)
    return f"{found['action'].replace('_', ' ')}: {found['reason']}"
