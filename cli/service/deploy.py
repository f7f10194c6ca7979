"""`fire deploy`: pools, deployments, schedules, limits and automations on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import httpx
import typer

from cli.prefect_run import set_prefect_defaults
from fire_core.config.environment import dft_licences, gpu_count, notify_url
from fire_core.errors import ConfigError, FireError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

    from cli.service.blueprint import Deployment

NOTIFY_BLOCK: Final = "fire-notify"


def deploy(
    pool_type: Annotated[
        str, typer.Option("--type", help="process, docker or kubernetes.")
    ] = "process",
    image: Annotated[
        str | None, typer.Option(help="Image of docker and kubernetes pools.")
    ] = None,
) -> None:
    """Deploy every flow to the server of PREFECT_API_URL; run it again at any time.

    FIRE_GPUS is how many runs the GPU pool holds at once (1), FIRE_DFT_LICENCES how
    many labelling processes run at once anywhere (no limit), FIRE_NOTIFY_URL a
    Slack-compatible web hook that hears of failed labels.
    """
    set_prefect_defaults()
    from prefect.settings import get_current_settings

    api = get_current_settings().api.url
    if api is None:
        msg = (
            "no Prefect server to deploy to: export PREFECT_API_URL=http://HOST:4200/api"
            ", or start one here with `fire serve`"
        )
        raise ConfigError(msg)
    try:
        for line in deploy_everything(pool_type, image):
            typer.echo(line)
    except httpx.HTTPError as error:
        msg = f"the Prefect server at {api} does not answer as expected: {error}"
        raise FireError(msg) from error


def deploy_everything(pool_type: str, image: str | None = None) -> list[str]:
    """Deploy, replacing what is there; return what was done, a line each."""
    from prefect.client.orchestration import get_client

    from cli.service.blueprint import read_deployments

    with get_client(sync_client=True) as client:
        lines = [_pool(client, name, pool_type, image) for name in _pools()]
        lines += [_deployment(client, item) for item in read_deployments()]
        lines.append(_licences(client))
        lines += [_automation(client, item) for item in _automations(pool_type)]
    if notify_url() is None:
        lines.append("nobody is notified of failed labels (FIRE_NOTIFY_URL is not set)")
    return lines


def _pools() -> tuple[str, ...]:
    from cli.service.blueprint import POOLS

    return POOLS


def _pool(
    client: SyncPrefectClient, name: str, pool_type: str, image: str | None
) -> str:
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectNotFound

    from cli.service.blueprint import GPU_POOL, read_template

    template = read_template(name, pool_type)
    if image is not None:
        if "image" not in template["variables"]["properties"]:
            msg = f"pools of type {pool_type} have no image: leave --image out"
            raise ConfigError(msg)
        template["variables"]["properties"]["image"]["default"] = image
    limit = (gpu_count() or 1) if name == GPU_POOL else None
    try:
        there = client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(
            WorkPoolCreate(
                name=name,
                type=pool_type,
                base_job_template=template,
                concurrency_limit=limit,
            )
        )
        return f"pool {name} made ({pool_type})"
    if there.type != pool_type:
        msg = (
            f"pool {name} is of type {there.type}, not {pool_type}: deploy with --type "
            f"{there.type}, or delete it with `prefect work-pool delete {name}`"
        )
        raise ConfigError(msg)
    client.update_work_pool(
        name, WorkPoolUpdate(base_job_template=template, concurrency_limit=limit)
    )
    return f"pool {name} brought up to date ({pool_type})"


def _deployment(client: SyncPrefectClient, item: Deployment) -> str:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.flows import load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema

    flow: Flow[..., Any] = load_flow_from_entrypoint(
        item.entrypoint, use_placeholder_flow=False
    )
    schema = parameter_schema(flow).model_dump_for_openapi()
    schedules = [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=s.cron, timezone=s.timezone),
            active=s.active,
            slug=s.slug,
        )
        for s in item.schedules
    ]
    client.create_deployment(
        flow_id=client.create_flow(flow),
        name=item.name,
        entrypoint=item.entrypoint,
        work_pool_name=item.pool,
        description=item.description or flow.description,
        tags=item.tags,
        schedules=schedules,
        parameter_openapi_schema=schema,
        enforce_parameter_schema=True,
        pull_steps=[],
    )
    when = "".join(f", {s.slug} at `{s.cron}` {s.timezone}" for s in item.schedules)
    return f"{flow.name}/{item.name} on {item.pool}{when}"


def _licences(client: SyncPrefectClient) -> str:
    limit = dft_licences()
    if limit is None:
        return "labelling processes are not limited (FIRE_DFT_LICENCES is not set)"
    from fire_core.campaign.steps.labels import LICENCES

    client.upsert_global_concurrency_limit_by_name(LICENCES, limit)
    return f"at most {limit} labelling processes at once"


def _automations(pool_type: str) -> list[AutomationCore]:
    from cli.service.automations import (
        crash_silent_runs,
        crash_stuck_runs,
        restart_campaigns,
        tell_failed_labels,
    )

    wanted = [crash_silent_runs(), crash_stuck_runs(pool_type), restart_campaigns()]
    url = notify_url()
    if url is not None:
        from prefect.blocks.notifications import SlackWebhook
        from pydantic import SecretStr

        block = SlackWebhook(url=SecretStr(url))
        saved = cast("UUID", block.save(NOTIFY_BLOCK, overwrite=True))
        wanted.append(tell_failed_labels(saved))
    return wanted


def _automation(client: SyncPrefectClient, wanted: AutomationCore) -> str:
    there = client.read_automations_by_name(wanted.name)
    if there:
        client.update_automation(there[0].id, wanted)
        return f"automation `{wanted.name}` brought up to date"
    client.create_automation(wanted)
    return f"automation `{wanted.name}` made"
