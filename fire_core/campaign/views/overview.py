"""Which campaigns a store has, and where each stands."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
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
ENDED_BADLY: Final = ("failed", "crashed", "cancelled")
"""Kinds of runs that ended and did not complete."""
MOST_SAID: Final = 300
"""Characters of an error that are shown."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a campaign stands: one word of it, and a sentence."""

    word: str
    text: str


@dataclass(frozen=True, slots=True)
class LastRun:
    """What the orchestrator says of a campaign's last run.

    Attributes
    ----------
    kind
        One of `scheduled`, `pending`, `running`, `paused`, `completed` and
        `ENDED_BADLY`.
    state
        The same in the orchestrator's own words, such as `awaitingretry`.
    message
        What it says about it; of one that failed, the error.
    """

    kind: str
    state: str
    message: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it will do nothing more."""
        return self.kind in {"completed", *ENDED_BADLY}


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


NO_RUNS: Final[Mapping[str, LastRun]] = MappingProxyType({})


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
    judged = store.evaluations.campaigns(JUDGEMENT, subject=FIRE)
    return [row.name for row in list_campaigns(store) if row.name not in judged]


def read_lines(
    store: Store,
    rows: Sequence[CampaignRow],
    runs: Mapping[str, LastRun] = NO_RUNS,
) -> list[Line]:
    """Return the campaigns of a page.

    `runs` are the last ones of each campaign that an orchestrator knows.
    """
    usage, models = store.usage.totals(), store.models.states()
    running = {step.campaign: step for step in store.steps.running()}
    sizes: dict[str, dict[tuple[int, str], int]] = {}
    for size in store.selections.sizes():
        sizes.setdefault(size.campaign, {})[size.round, size.purpose] = size.size
    decided = store.evaluations.campaigns(DECISION)
    over = decided & store.evaluations.campaigns(JUDGEMENT, subject=FIRE)
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
            is_over=row.name in over,
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


def describe_progress(
    step: RunningStep | None,
    *,
    is_pending: bool,
    is_over: bool,
    chosen: Mapping[tuple[int, str], int],
    run: LastRun | None = None,
) -> Progress:
    """Return where a campaign stands: what its run says, where one is known.

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
        Its last run; None where no orchestrator knows one.
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
    return _describe_stop(step, has_begun=bool(chosen))


def _describe_stop(step: RunningStep | None, *, has_begun: bool) -> Progress:
    """Return where a campaign stands that nobody works on and that is not finished."""
    if step is not None:
        return Progress("gone", f"{step.step} was left by {step.owner}")
    if not has_begun:
        return Progress("new", "has not begun")
    return Progress("waiting", "no step of it is held; between steps, or stopped")


def read_decision(store: Store, name: str) -> str:
    """Return why a campaign ended, in words; empty while it has not."""
    found = store.evaluations.get(DECISION, name)
    if found is None:
        return ""
    return f"{found.action.replace('_', ' ')}: {found.reason}"
