"""Find flow runs on the Prefect server by state and tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, StateType

MOST = 200  # that the server gives at once


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
