"""Deploy to the server of this machine, and let interrupted runs go on.

For `fire serve` alone: it starts every process of the service itself, so that a run
which is still marked as running when it starts has lost its process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State


def crash_lost_runs() -> list[FlowRun]:
    """Declare every run crashed that cannot be running; return them.

    Crashed campaigns are scheduled again by an automation; steps by their campaigns.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    from flows.runs import find_runs

    lost = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
    with get_client(sync_client=True) as client:
        runs = find_runs(client, lost)
        for run in runs:
            state: State[Any] = Crashed(message="the service was stopped while it ran")
            client.set_flow_run_state(run.id, state, force=True)
    return runs


def main() -> int:
    """Deploy and recover."""
    from cli.service.deploy import deploy_everything

    deploy_everything("process")
    crash_lost_runs()
    return 0


if __name__ == "__main__":
    sys.exit(main())
