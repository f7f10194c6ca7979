"""Is the service well? What the Prefect server says: pools, workers, runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from cli.service.service_checks import Check, compare_clocks, error, ok, warning
from fire_core.campaign.steps.labels import LICENCES
from fire_core.config.environment import dft_licences

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import Worker, WorkPool

DEPLOY: Final = "`fire deploy`"
MISSED_BEATS: Final = 3
FEW_WORKERS: Final = 3
MOST: Final = 200
MEMORY: Final = "prefect.server.concurrency.lease_storage.memory"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a deployed service has.

    Attributes
    ----------
    pools
        Names of the work pools.
    gpu_pool
        The one that needs a limit.
    deployments
        Pool of each deployment, by its full name `FLOW/DEPLOYMENT`.
    automations
        Names.
    heartbeat_s
        Seconds between two signs of life of a run.
    """

    pools: tuple[str, ...]
    gpu_pool: str
    deployments: dict[str, str]
    automations: tuple[str, ...]
    heartbeat_s: int


def check_server(expected: Expected) -> list[Check]:
    """Look at the server of PREFECT_API_URL, and at what is deployed to it."""
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    api = get_current_settings().api.url
    name = "Prefect API"
    if api is None:
        cure = "export PREFECT_API_URL=http://HOST:4200/api, or start one: `fire serve`"
        return [error(name, "PREFECT_API_URL is not set", cure)]
    try:
        with get_client(sync_client=True) as client:
            answer = client.request("GET", "/admin/version")
            return [
                ok(name, f"{api} answers and accepts this client"),
                _version(answer),
                _clock(answer),
                *_ask(client, expected),
            ]
    except httpx.HTTPStatusError as problem:
        return [_refused(api, problem.response.status_code)]
    except (httpx.HTTPError, RuntimeError) as problem:
        cure = (
            "is the server running (`fire serve`, `prefect server start`), and does "
            "PREFECT_API_URL end in /api?"
        )
        return [error(name, f"{api} does not answer: {problem}", cure)]


def _refused(api: str, code: int) -> Check:
    if code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        cure = "export PREFECT_API_AUTH_STRING with the server's own secret USER:WORD"
        return error("Prefect API", f"{api} refuses this client (HTTP {code})", cure)
    cure = "look into the server's log; does PREFECT_API_URL end in /api?"
    return error("Prefect API", f"{api} answers with HTTP {code}", cure)


def _ask(client: SyncPrefectClient, expected: Expected) -> list[Check]:
    settings = client.request("GET", "/admin/settings").json().get("server", {})
    checks, n_workers = [], 0
    for name in expected.pools:
        found, online = _pool(client, name, limited=name == expected.gpu_pool)
        checks += found
        n_workers += online
    return [
        _database(client, settings, n_workers),
        _leases(settings),
        _retention(settings),
        _heartbeat(expected.heartbeat_s),
        *checks,
        *_deployments(client, expected.deployments),
        _limit(client),
        *_automations(client, expected.automations),
        _late(client),
    ]


def _version(answer: httpx.Response) -> Check:
    import prefect

    there, here = str(answer.json()), prefect.__version__
    if there == here:
        return ok("Prefect's versions", f"client and server are {here}")
    cure = "run one version everywhere: `pip install -c constraints.txt fire-mlip`"
    return warning("Prefect's versions", f"client {here}, server {there}", cure)


def _clock(answer: httpx.Response) -> Check:
    text = answer.headers.get("date")
    if text is None:
        return ok("server's clock", "the server does not say")
    # The header has whole seconds.
    ahead = parsedate_to_datetime(text).timestamp() + 0.5 - time.time()
    return compare_clocks("server's clock", ahead)


def _count_workers(number: int) -> str:
    return f"{number} worker" + ("" if number == 1 else "s")


def _database(
    client: SyncPrefectClient, settings: dict[str, Any], n_workers: int
) -> Check:
    """Say which database Prefect has; it shows the parts, but hides a URL."""
    name = "Prefect's database"
    driver = settings.get("database", {}).get("driver") or _own_driver(client)
    if driver is None:
        what = "the server hides its URL: several machines need PostgreSQL there"
        return ok(name, what)
    if not driver.startswith("sqlite"):
        return ok(name, driver)
    what = f"{driver}, {_count_workers(n_workers)} online"
    if n_workers <= FEW_WORKERS:
        return ok(name, f"{what}: enough for one machine")
    cure = (
        "SQLite refuses requests that come at once: set "
        "PREFECT_SERVER_DATABASE_CONNECTION_URL of the server to PostgreSQL"
    )
    return warning(name, what, cure)


def _own_driver(client: SyncPrefectClient) -> str | None:
    """Return the driver that this environment names, for a server on this machine."""
    from prefect.settings import get_current_settings

    secret = get_current_settings().server.database.connection_url
    local = urlsplit(str(client.api_url)).hostname in {"127.0.0.1", "localhost", "::1"}
    if secret is None or not local:
        return None
    return secret.get_secret_value().split(":", 1)[0]


def _leases(settings: dict[str, Any]) -> Check:
    kind = str(settings.get("concurrency", {}).get("lease_storage", MEMORY))
    what = f"slots of limits are kept by {kind.rsplit('.', 1)[-1]}"
    if kind != MEMORY:
        return ok("limits", what)
    cure = (
        "lost at a restart of the server: set PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE="
        "prefect.server.concurrency.lease_storage.filesystem there, or "
        "prefect_redis.lease_storage"
    )
    return warning("limits", what, cure)


def _retention(settings: dict[str, Any]) -> Check:
    vacuum = settings.get("services", {}).get("db_vacuum", {})
    enabled, period = vacuum.get("enabled"), vacuum.get("retention_period")
    if enabled is True or "flow_runs" in (enabled or []):
        return ok("retention", f"runs are deleted after {period}")
    cure = (
        "set PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events,flow_runs on the server"
    )
    return warning("retention", "Prefect keeps runs for ever", cure)


def _heartbeat(expected_s: int) -> Check:
    from prefect.settings import get_current_settings

    every = get_current_settings().flows.heartbeat_frequency
    what = "no heartbeat" if every is None else f"a heartbeat every {every} s"
    if every is not None and every <= expected_s:
        return ok("runs of this machine", what)
    cure = (
        f"a worker here would have healthy runs declared crashed: export "
        f"PREFECT_FLOWS_HEARTBEAT_FREQUENCY={expected_s} before it starts"
    )
    return warning("runs of this machine", what, cure)


def _pool(
    client: SyncPrefectClient, name: str, *, limited: bool
) -> tuple[list[Check], int]:
    """Look at a pool; return what was found, and how many workers are online."""
    from prefect.exceptions import ObjectNotFound

    try:
        pool = client.read_work_pool(name)
        workers = client.read_workers_for_work_pool(name, limit=MOST)
    except ObjectNotFound:
        return [error(name, "no such pool", DEPLOY)], 0
    ages = sorted(age for w in workers if (age := _silence(w)) is not None)
    what = f"{_count_workers(len(ages))} online"
    if pool.is_paused:
        check = error(name, "paused", f"`prefect work-pool resume {name}`")
    elif not ages:
        cure = f"`prefect worker start --pool {name} --type {pool.type}` where it runs"
        check = error(name, what, cure)
    else:
        check = ok(
            name, f"{what}, the last one heard {ages[0]:.0f} s ago{_slots(pool)}"
        )
    checks = [check]
    if limited and pool.concurrency_limit is None:
        cure = f"`prefect work-pool set-concurrency-limit {name} NUMBER_OF_GPUS`"
        checks.append(warning(name, "no limit: runs would share a GPU", cure))
    return checks, len(ages)


def _slots(pool: WorkPool) -> str:
    limit = pool.concurrency_limit
    return "" if limit is None else f", at most {limit} runs at once"


def _silence(worker: Worker) -> float | None:
    """Return the seconds since a worker was heard; None when it is offline."""
    from prefect.client.schemas.objects import WorkerStatus

    last = worker.last_heartbeat_time
    if last is None or worker.status is not WorkerStatus.ONLINE:
        return None
    age = (datetime.now(UTC) - last).total_seconds()
    patience = MISSED_BEATS * (worker.heartbeat_interval_seconds or 30)
    return max(age, 0.0) if age <= patience else None


def _deployments(client: SyncPrefectClient, wanted: dict[str, str]) -> list[Check]:
    from prefect.exceptions import ObjectNotFound

    absent, paused, moved = [], [], []
    for name, pool in wanted.items():
        try:
            there = client.read_deployment_by_name(name)
        except ObjectNotFound:
            absent.append(name)
            continue
        if there.paused:
            paused.append(name)
        if there.work_pool_name != pool:
            moved.append(f"{name} on {there.work_pool_name}")
    title = "deployments"
    checks = []
    if absent:
        what = f"{len(absent)} of {len(wanted)} are missing: {', '.join(absent)}"
        checks.append(error(title, what, DEPLOY))
    if moved:
        what = f"on other pools than this FIRE has them: {', '.join(moved)}"
        checks.append(warning(title, what, DEPLOY))
    if paused:
        cure = "`prefect deployment schedule resume NAME ID`, or resume it in the page"
        checks.append(warning(title, f"paused: {', '.join(paused)}", cure))
    return checks or [ok(title, f"all {len(wanted)} are there")]


def _limit(client: SyncPrefectClient) -> Check:
    from prefect.exceptions import ObjectNotFound

    wanted, title = dft_licences(), "labelling processes"
    cure = f"`FIRE_DFT_LICENCES=NUMBER {DEPLOY[1:]}"
    try:
        limit = client.read_global_concurrency_limit_by_name(LICENCES)
    except ObjectNotFound:
        if wanted is None:
            return ok(title, "not limited (FIRE_DFT_LICENCES is not set)")
        what = f"limit {LICENCES} is missing, FIRE_DFT_LICENCES says {wanted}"
        return error(title, what, cure)
    what = f"at most {limit.limit} at once, {limit.active_slots} now"
    if not limit.active or (wanted is not None and limit.limit != wanted):
        what += ", but the limit is off" if not limit.active else f", wanted {wanted}"
        return warning(title, what, cure)
    return ok(title, what)


def _automations(client: SyncPrefectClient, wanted: tuple[str, ...]) -> list[Check]:
    there = {a.name: a for a in client.read_automations()}
    absent = [name for name in wanted if name not in there]
    off = [n for n, a in there.items() if n.startswith("fire:") and not a.enabled]
    title = "automations"
    checks = []
    if absent:
        what = f"missing, so that dead runs stay as they are: {', '.join(absent)}"
        checks.append(error(title, what, DEPLOY))
    if off:
        cure = f"`prefect automation resume '{off[0]}'`"
        checks.append(warning(title, f"paused: {', '.join(off)}", cure))
    return checks or [ok(title, f"all {len(wanted)} are on")]


def _late(client: SyncPrefectClient) -> Check:
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateName,
    )
    from prefect.client.schemas.sorting import FlowRunSort

    late = FlowRunFilter(
        state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"]))
    )
    runs = client.read_flow_runs(
        flow_run_filter=late, sort=FlowRunSort.EXPECTED_START_TIME_ASC, limit=MOST
    )
    if not runs:
        return ok("late runs", "none")
    pools = sorted({run.work_pool_name or "no pool" for run in runs})
    since = runs[0].expected_start_time
    age = 0.0 if since is None else (datetime.now(UTC) - since).total_seconds()
    number = f"{len(runs)}{' or more' if len(runs) == MOST else ''}"
    what = f"{number} on {', '.join(pools)}, the oldest due {age / 60:.0f} minutes ago"
    cure = "start more workers of that pool, or raise its limit; else they just queue"
    return warning("late runs", what, cure)
