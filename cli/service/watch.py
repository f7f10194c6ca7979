"""`fire watch`: a second look at runs, where the automations of the server missed one.

Automations act within seconds, on events; an event that was on its way while server or
database died is lost. This process looks at the runs themselves, every few seconds,
and acts where an automation should have: a crashed campaign is scheduled again, a run
that is silent or never started is declared crashed. A campaign that is suspended until
its labels are approved goes on once the store has the decision, wherever it was made.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import httpx
import typer

from cli.prefect_run import set_prefect_defaults
from cli.service.settings import HEARTBEAT_S
from fire_core.errors import ConfigError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

LOOK_S: Final = 10.0
LATE_S: Final = 30.0
"""Seconds that an automation has before this process acts in its place."""
SILENCE_S: Final = 3 * HEARTBEAT_S + LATE_S
MOST_CRASHES: Final = 100
"""Crashes of one campaign's run after which it is left to a person."""
BEAT: Final = "prefect.flow-run.heartbeat"


def watch(
    stuck: Annotated[
        float, typer.Option(help="Seconds a run may take to start its process.")
    ] = 150.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
) -> None:
    """Watch the runs of the server of PREFECT_API_URL until stopped."""
    set_prefect_defaults()
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException
    from prefect.settings import get_current_settings

    if get_current_settings().api.url is None:
        msg = "no Prefect server to watch: export PREFECT_API_URL=http://HOST:4200/api"
        raise ConfigError(msg)
    while True:
        try:
            with get_client(sync_client=True) as client:
                for line in look(client, stuck):
                    typer.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}")
        except (httpx.HTTPError, PrefectException) as error:
            typer.echo(f"the Prefect server is away: {error!r}")
            if once:
                raise typer.Exit(1) from error
        if once:
            return
        time.sleep(LOOK_S)


def look(client: SyncPrefectClient, stuck_s: float) -> list[str]:
    """Repair what is broken; return what was done, a line each."""
    from prefect.client.schemas.objects import StateType
    from prefect.states import AwaitingRetry, Crashed

    from cli.service.resume import resume_decided
    from flows.runs import find_runs

    lines: list[str] = []
    for run in find_runs(client, [StateType.CRASHED], ["fire-restart"]):
        crashes = [
            s
            for s in client.read_flow_run_states(run.id)
            if s.type is StateType.CRASHED
        ]
        if _age(run) < LATE_S or len(crashes) >= MOST_CRASHES:
            continue
        message = "its process was lost; it goes on from the store"
        _set(client, run.id, AwaitingRetry(message=message))
        lines.append(f"{run.name} had crashed; scheduled again")
    for run in find_runs(client, [StateType.PENDING]):
        if _age(run) > stuck_s:
            message = f"not started after {stuck_s:.0f} s: its worker is gone"
            _set(client, run.id, Crashed(message=message))
            lines.append(f"{run.name} never started; declared crashed")
    running = find_runs(client, [StateType.RUNNING])
    old = [run for run in running if _age(run) > SILENCE_S]
    beating = _beating(client, [run.id for run in old])
    for run in old:
        if run.id not in beating:
            message = f"silent for {SILENCE_S} s: its process or worker is gone"
            _set(client, run.id, Crashed(message=message))
            lines.append(f"{run.name} is silent; declared crashed")
    return lines + resume_decided(client)


def _age(run: FlowRun) -> float:
    """Return the seconds since a run came into its state."""
    since = datetime.now(UTC) if run.state is None else run.state.timestamp
    return (datetime.now(UTC) - since).total_seconds()


def _set(client: SyncPrefectClient, run_id: UUID, state: State[Any]) -> None:
    client.set_flow_run_state(run_id, state, force=True)


def _beating(client: SyncPrefectClient, run_ids: list[UUID]) -> set[UUID]:
    """Return the runs that said lately that they live."""
    since = datetime.now(UTC) - timedelta(seconds=SILENCE_S)
    beating = set()
    for run_id in run_ids:
        answer = client.request(
            "POST",
            "/events/filter",
            json={
                "filter": {
                    "event": {"name": [BEAT]},
                    "resource": {"id": [f"prefect.flow-run.{run_id}"]},
                    "occurred": {"since": since.isoformat()},
                },
                "limit": 1,
            },
        )
        if answer.json()["events"]:
            beating.add(run_id)
    return beating
