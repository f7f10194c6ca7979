"""Run a step of a campaign: in this process, or on its pool when the campaign is.

A campaign that was started from a deployment sends its steps to their deployments
and waits; one that was started by hand calls them. Either way a step reads from the
store what is missing, so it may be sent again after a crash.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.runtime import deployment, flow_run

from fire_core.errors import FireError
from flows.runs import ALIVE, find_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

    from fire_core.campaign.reference import CampaignRef
    from fire_core.config.campaign import CampaignConfig

Result = TypeVar("Result")

POLL_S: Final = 1.0
AWAY_S: Final = 5.0
PATIENCE_S: Final = 1800.0  # with a server that is away; a restart takes seconds
SERVER_ERROR: Final = 500  # and above: not the caller's fault
CAMPAIGN_TAG: Final = "fire-campaign"
"""Of the run of a whole campaign, beside `campaign:NAME`."""
PREFECT_SAYS: Final = "Flow run encountered an exception: "
NAMING: Final = ("kind", "purpose", "round_")
STARTS: Final = 10
"""Times that a step is sent before the campaign gives up: a step that crashes so often
is not unlucky."""


def on_pools() -> bool:
    """Return whether this run came from a deployment."""
    return deployment.id is not None


def run_step(
    step: Flow[..., Any],
    ref: CampaignRef,
    *,
    copies: int = 1,
    queue: str | None = None,
    **parameters: Any,
) -> None:
    """Run a step to its end.

    Parameters
    ----------
    step
        The flow `fire-NAME`, deployed as `fire-NAME/NAME`.
    ref
        The campaign.
    copies
        Runs at once, which share the work through the store; a campaign in one
        process runs one.
    queue
        Work queue of the pool, whose workers have what the step needs; None: any.
    parameters
        Of the flow; keys and small numbers.

    Raises
    ------
    FireError
        The step failed, or crashed too often.
    """
    if not on_pools():
        step(ref, **parameters)
        return
    words = [step.name, *(str(parameters[n]) for n in NAMING if n in parameters)]
    names = ["-".join([*words, str(n + 1)]) for n in range(copies)]

    def send(name: str) -> UUID:
        return _retry_while_away(lambda: _send(step, ref, name, parameters, queue))

    left = {name: send(name) for name in names}
    starts = dict.fromkeys(names, 1)
    while left:
        time.sleep(POLL_S)
        for name, run_id in list(left.items()):
            state = _retry_while_away(functools.partial(_state, run_id))
            if state is None or not state.is_final():
                continue
            del left[name]
            if not _is_finished(name, state, starts[name]):
                starts[name] += 1
                left[name] = send(name)


def _is_finished(name: str, state: State, starts: int) -> bool:
    """Return whether a step that ended is done; False: it has to be sent again."""
    if state.is_completed():
        return True
    if state.is_failed():
        reason = str(state.message).removeprefix(PREFECT_SAYS)
        msg = f"the step {name} failed: {reason}"
        raise FireError(msg)
    if starts == STARTS:
        msg = (
            f"the step {name} was started {STARTS} times and never finished (last: "
            f"{state.name}, {state.message}); look at its worker"
        )
        raise FireError(msg)
    get_run_logger().warning(
        "%s is %s (%s); sent again", name, state.name, state.message
    )
    return False


def send_campaign(campaign: Flow[..., Any], config: CampaignConfig) -> None:
    """Start a campaign unless it is running: on its pool, or here and now."""
    if not on_pools():
        campaign(config)
        return
    tags = [f"campaign:{config.name}", CAMPAIGN_TAG]
    if _alive(tags):
        get_run_logger().info("%s is running", config.name)
        return
    run_deployment(
        f"{campaign.name}/campaign",
        parameters={"config": config.model_dump(mode="json")},
        flow_run_name=config.name,
        tags=tags,
        timeout=0,
        as_subflow=False,
    )


def tag_campaign(name: str) -> None:
    """Tag this run with its campaign, so that it and its steps are found by it."""
    run_id = flow_run.id
    if not on_pools() or run_id is None:
        return

    def tag() -> None:
        with get_client(sync_client=True) as client:
            there = client.read_flow_run(UUID(run_id)).tags
            tags = {*there, f"campaign:{name}", CAMPAIGN_TAG}
            client.update_flow_run(UUID(run_id), tags=sorted(tags))

    _retry_while_away(tag)


def _send(
    step: Flow[..., Any],
    ref: CampaignRef,
    name: str,
    parameters: dict[str, Any],
    queue: str | None = None,
) -> UUID:
    """Send a step to its pool, or find the run of it that is alive."""
    tags = [*ref.tags(), f"step:{name}"]
    known = _alive(tags)
    if known:
        get_run_logger().info("%s is under way as %s", name, known[0].name)
        return known[0].id
    sent = run_deployment(
        f"{step.name}/{step.name.removeprefix('fire-')}",
        parameters={"ref": ref.model_dump(), **parameters},
        flow_run_name=f"{ref.name}-{name.removeprefix('fire-')}",
        tags=tags,
        timeout=0,
        work_queue_name=queue,
    )
    return cast("FlowRun", sent).id  # a coroutine only in async code


def _alive(tags: Sequence[str]) -> list[FlowRun]:
    with get_client(sync_client=True) as client:
        return find_runs(client, ALIVE, tags)


def _state(run_id: UUID) -> State | None:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id).state


def _retry_while_away(call: Callable[[], Result]) -> Result:
    """Call until the server is there to answer, for at most `PATIENCE_S`.

    What is called may have worked although its answer was lost, and is called again.
    """
    start, told = time.monotonic(), False
    while True:
        try:
            return call()
        except httpx.HTTPError as error:
            if _is_refusal(error) or time.monotonic() - start > PATIENCE_S:
                raise
            if not told:
                get_run_logger().warning("the Prefect server is away: %r", error)
                told = True
        time.sleep(AWAY_S)


def _is_refusal(error: httpx.HTTPError) -> bool:
    """Return whether the server answered, and it is the question that was wrong."""
    return (
        isinstance(error, httpx.HTTPStatusError)
        and error.response.status_code < SERVER_ERROR
    )
