"""Which campaigns a store has, and where each stands."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fire_core.campaign.kinds import DECISION, JUDGEMENT
from fire_core.campaign.names import FIRE, PERTURB, SELECTED, TEST
from fire_core.campaign.state import PATIENCE_S
from fire_core.config.campaign import STUDY_PREFIX
from fire_core.config.environment import default_blobs, default_database
from fire_core.storage.approvals import ApprovalState
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fire_core.storage.campaigns import CampaignRow
    from fire_core.storage.steps import RunningStep

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


@contextmanager
def default_store() -> Iterator[Store]:
    """Open this machine's store, waiting for its database."""
    with Store.open(
        default_database(), default_blobs(), patience_s=PATIENCE_S
    ) as store:
        yield store


def list_campaigns(store: Store) -> list[CampaignRow]:
    """Return the campaigns of a store without its studies, oldest first."""
    rows = store.campaigns.list()
    return [row for row in rows if not row.name.startswith(STUDY_PREFIX)]


def unfinished_campaigns(store: Store) -> list[str]:
    """Return the campaigns of a store without a judged model."""
    return [
        row.name
        for row in list_campaigns(store)
        if not any(
            judged.subject == FIRE
            for judged in store.evaluations.list(JUDGEMENT, row.name)
        )
    ]


def read_lines(store: Store, rows: Sequence[CampaignRow]) -> list[Line]:
    """Return the campaigns of a page, in a number of queries that does not grow."""
    usage, models = store.usage.totals(), store.models.states()
    running = {step.campaign: step for step in store.steps.running()}
    sizes: dict[str, dict[tuple[int, str], int]] = {}
    for size in store.selections.sizes():
        sizes.setdefault(size.campaign, {})[size.round, size.purpose] = size.size
    decided = {
        row.name
        for row in rows
        if store.evaluations.get(DECISION, row.name) is not None
    }
    pending = {
        row.campaign
        for row in store.approvals.list()
        if row.state is ApprovalState.PENDING
    }
    lines = []
    for row in rows:
        total, chosen = usage.get(row.name), sizes.get(row.name, {})
        config = json.loads(row.config_json)
        progress = describe_progress(
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


def describe_progress(
    step: RunningStep | None,
    *,
    is_pending: bool,
    is_decided: bool,
    chosen: Mapping[tuple[int, str], int],
) -> Progress:
    """Return where a campaign stands."""
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
    return f"{found.action.replace('_', ' ')}: {found.reason}"
