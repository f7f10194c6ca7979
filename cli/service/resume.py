"""Let suspended campaigns go on whose labels were decided in the store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import httpx
from prefect.client.schemas.objects import StateType

from fire_core.config.environment import default_blobs, default_database
from fire_core.errors import FireError
from fire_core.storage.approvals import ApprovalState
from fire_core.storage.store import Store
from flows.runs import find_runs

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

    from fire_core.storage.approvals import ApprovalRow

TAG: Final = "fire-campaign"
OF_CAMPAIGN: Final = "campaign:"
KEY: Final = re.compile(r"approve-(.+)-(\d+)")
"""Key of a suspension: purpose and round; see `flows.approval`."""


def resume_campaign(client: SyncPrefectClient, row: ApprovalRow) -> int:
    """Resume the suspended runs of a campaign with a decision; return how many."""
    tags = [f"{OF_CAMPAIGN}{row.campaign}", TAG]
    runs = find_runs(client, [StateType.PAUSED], tags)
    for run in runs:
        _resume(client, run, row)
    return len(runs)


def resume_decided(client: SyncPrefectClient) -> list[str]:
    """Resume every run whose labels are decided; return what was done, a line each.

    The dashboard knows no Prefect: it writes decisions to the store, and they are
    found here. The store is opened only where a run is suspended.
    """
    runs = find_runs(client, [StateType.PAUSED], [TAG])
    if not runs:
        return []
    try:
        with Store.open(default_database(), default_blobs()) as store:
            waiting = [(run, find_decision(store, run)) for run in runs]
    except FireError as error:
        return [f"the store does not answer, campaigns stay suspended: {error}"]
    lines = []
    for run, row in waiting:
        if row is None:
            continue
        try:
            _resume(client, run, row)
        except httpx.HTTPStatusError as error:
            lines.append(f"{run.name} could not be resumed: {error}")
            continue
        decided = f"{row.n_approved} of {row.n_asked} labels {row.state}"
        lines.append(f"{run.name} resumed: {decided} by {row.actor}")
    return lines


def find_decision(store: Store, run: FlowRun) -> ApprovalRow | None:
    """Return what was decided on the labels that a run waits for; None: nothing yet."""
    names = [t.removeprefix(OF_CAMPAIGN) for t in run.tags if t.startswith(OF_CAMPAIGN)]
    key = "" if run.state is None else run.state.state_details.pause_key
    found = KEY.fullmatch(key or "")
    if not names or found is None:
        return None
    row = store.approvals.get(names[0], int(found[2]), found[1])
    return None if row is None or row.state is ApprovalState.PENDING else row


def _resume(client: SyncPrefectClient, run: FlowRun, row: ApprovalRow) -> None:
    word = {"labels": row.n_approved, "who": row.actor, "reason": row.reason or ""}
    client.resume_flow_run(run.id, run_input=word)
