"""Find flow runs on the Prefect server by state and tag; resume suspended ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.states import Scheduled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

    from fire_core.records import Decided

MOST = 200  # that the server gives at once
ALIVE: Final = (
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
)
"""States of a run that has not ended."""
NO_FORM: Final = "Run input schema not found."
"""The server's refusal while a run that says it is paused has not stored its form."""


def find_runs(
    client: SyncPrefectClient, states: Sequence[StateType], tags: Sequence[str] = ()
) -> list[FlowRun]:
    """Return the runs in one of the states that have all of the tags."""
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
            tags=FlowRunFilterTags(all_=list(tags)) if tags else None,
        ),
        limit=MOST,
    )


def approval_key(round_: int, purpose: str) -> str:
    """Return the key of the suspension that waits for the labels of a choice."""
    return f"approve-{purpose}-{round_}"


def resume_decided_run(
    client: SyncPrefectClient, run_id: UUID, decided: Decided
) -> str | None:
    """Resume a suspended run with a decision; return why it was not, None if it was.

    Anybody may do so at any time, more than once: a run that is not suspended is left
    as it is. A run that is suspended and has not stored its form, or died before it
    could, is scheduled without an answer; it finds the decision in the store.
    """
    word = {"labels": decided.n, "who": decided.actor, "reason": decided.reason}
    answer = client.resume_flow_run(run_id, run_input=word)
    if answer.status is SetStateStatus.ACCEPT:
        return None
    reason = str(getattr(answer.details, "reason", answer.status))
    if reason != NO_FORM:
        return reason
    state = client.read_flow_run(run_id).state
    if state is not None and state.type is StateType.PAUSED:
        client.set_flow_run_state(run_id, Scheduled(name="Resuming"), force=True)
        return None
    return reason
