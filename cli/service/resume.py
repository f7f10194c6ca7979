"""Let suspended campaigns go on whose labels were decided in the store."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import httpx
from prefect.client.schemas.objects import StateType

from fire_core.campaign.spending import decided_of
from fire_core.config.environment import default_blobs, default_database
from fire_core.errors import FireError
from fire_core.storage.approvals import ApprovalState
from fire_core.storage.store import Store
from flows.runs import ALIVE, approval_key, find_runs, resume_decided_run

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

    from fire_core.storage.approvals import ApprovalRow

TAG: Final = "fire-campaign"
OF_CAMPAIGN: Final = "campaign:"
KEY: Final = re.compile(r"approve-(.+)-(\d+)")
"""Key of a suspension: purpose and round; see `flows.runs.approval_key`."""


class Outcome(StrEnum):
    """What becomes of a campaign's run after a decision on its labels, in words."""

    RESUMED = "its suspended run was resumed"
    BY_ITSELF = "its run goes on by itself"
    ABSENT = "no run of it is under way; `fire campaign submit` starts one"


def resume_campaign(client: SyncPrefectClient, row: ApprovalRow) -> Outcome:
    """Resume the run of a campaign that waits for a decision, once that is stored.

    A run that is not suspended yet looks at the store once more when it is, and one
    that `fire watch` has resumed in the meantime is under way: both go on.

    Raises
    ------
    FireError
        The server refuses to resume a run that is suspended.
    """
    tags = [f"{OF_CAMPAIGN}{row.campaign}", TAG]
    runs = find_runs(client, ALIVE, tags)
    key = approval_key(row.round, row.purpose)
    outcome = Outcome.BY_ITSELF if runs else Outcome.ABSENT
    for run in runs:
        if pause_key(run) != key:
            continue
        refusal = resume_decided_run(client, run.id, decided_of(row))
        if refusal is None:
            outcome = Outcome.RESUMED
        elif pause_key(client.read_flow_run(run.id)) == key:
            msg = f"{row.campaign} is decided, but its run was not resumed: {refusal}"
            raise FireError(msg)
    return outcome


def pause_key(run: FlowRun) -> str | None:
    """Return what a suspended run waits for; None where it is not suspended."""
    if run.state is None or run.state.type is not StateType.PAUSED:
        return None
    return run.state.state_details.pause_key


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
            refusal = resume_decided_run(client, run.id, decided_of(row))
        except httpx.HTTPStatusError as error:
            refusal = str(error)
        if refusal is not None:
            lines.append(f"{run.name} could not be resumed: {refusal}")
            continue
        decided = f"{row.n_approved} of {row.n_asked} labels {row.state}"
        lines.append(f"{run.name} resumed: {decided} by {row.actor}")
    return lines


def find_decision(store: Store, run: FlowRun) -> ApprovalRow | None:
    """Return what was decided on the labels that a run waits for; None: nothing yet."""
    names = [t.removeprefix(OF_CAMPAIGN) for t in run.tags if t.startswith(OF_CAMPAIGN)]
    found = KEY.fullmatch(pause_key(run) or "")
    if not names or found is None:
        return None
    row = store.approvals.get(names[0], int(found[2]), found[1])
    return None if row is None or row.state is ApprovalState.PENDING else row
