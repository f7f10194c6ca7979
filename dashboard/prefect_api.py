"""Ask Prefect's server, over HTTP, about pools, workers and runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from fire_core.campaign.views.overview import LastRun

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE_S: Final = 3.0
CAMPAIGN_FLOW: Final = "fire-campaign"
PREFECT_SAYS: Final = "Flow run encountered an exception: "
STATES: Final = ("RUNNING", "PENDING", "SCHEDULED", "PAUSED", "FAILED", "CRASHED")


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of a pool, when it was last heard of (ISO 8601), and whether lately."""

    name: str
    heard: str
    is_online: bool


@dataclass(frozen=True, slots=True)
class Pool:
    """A work pool; `limit` is the most runs at once, None: no limit."""

    name: str
    kind: str
    is_paused: bool
    limit: int | None
    workers: Sequence[Worker] = ()


@dataclass(frozen=True, slots=True)
class Orchestrator:
    """What Prefect's server says; `problem` is why it says nothing."""

    address: str
    problem: str = ""
    version: str = ""
    pools: Sequence[Pool] = ()
    runs: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """A flow run: its page lies at `path` of Prefect's own pages.

    Attributes
    ----------
    state, kind
        Name and type of its state, in small letters: a retry that is awaited is
        `scheduled`.
    message
        What the state says; of one that failed, the error.
    """

    name: str
    state: str
    path: str
    started: str
    kind: str = ""
    message: str = ""


def prefect_address() -> str:
    """Return the address of the server's API; empty where none is known."""
    return os.environ.get("PREFECT_API_URL", "")


def find_runs(api: str, tag: str, most: int = 20) -> list[Run]:
    """Return the latest flow runs with a tag; none where the server does not answer."""
    return _find(api, {"flow_runs": {"tags": {"all_": [tag]}}, "limit": most})


def last_campaign_runs(api: str) -> dict[str, LastRun]:
    """Return the last run of each campaign that the server still knows.

    A campaign's run bears its name, on pools and where somebody started it by hand.
    Nothing where no server is known (`api` is empty) or it does not answer.
    """
    runs: dict[str, LastRun] = {}
    if api:
        for run in _find(api, {"flows": {"name": {"any_": [CAMPAIGN_FLOW]}}}):
            runs.setdefault(run.name, LastRun(run.kind, run.state, run.message))
    return runs


def _find(api: str, body: dict[str, Any]) -> list[Run]:
    try:
        with _open(api) as web:
            newest = {"sort": "EXPECTED_START_TIME_DESC"}
            found = _post(web, "/flow_runs/filter", newest | body)
    except (httpx.HTTPError, ValueError):
        return []
    return [
        Run(
            name=run["name"],
            state=str(run.get("state_name") or "").lower(),
            path=f"/runs/flow-run/{run['id']}",
            started=run.get("start_time") or run.get("expected_start_time") or "",
            kind=str(run.get("state_type") or "").lower(),
            message=_message(run),
        )
        for run in found
    ]


def _message(run: dict[str, Any]) -> str:
    text = str((run.get("state") or {}).get("message") or "")
    return text.removeprefix(PREFECT_SAYS)


def ask_prefect(api: str) -> Orchestrator:
    """Return pools, workers and numbers of runs by state.

    Parameters
    ----------
    api
        Such as http://127.0.0.1:4200/api; PREFECT_API_AUTH_STRING is used where set.
    """
    try:
        with _open(api) as web:
            version = _get(web, "/admin/version")
            pools = [
                _pool(web, found)
                for found in _post(web, "/work_pools/filter", {"limit": 50})
            ]
            runs = {
                state.lower(): int(
                    _post(
                        web,
                        "/flow_runs/count",
                        {"flow_runs": {"state": {"type": {"any_": [state]}}}},
                    )
                )
                for state in STATES
            }
    except (httpx.HTTPError, ValueError) as error:
        return Orchestrator(api, problem=f"{type(error).__name__}: {error}")
    return Orchestrator(api, "", str(version), pools, runs)


def _open(api: str) -> httpx.Client:
    word = os.environ.get("PREFECT_API_AUTH_STRING", "")
    name, _, secret = word.partition(":")
    auth = httpx.BasicAuth(name, secret) if word else None
    return httpx.Client(base_url=api, timeout=PATIENCE_S, auth=auth)


def _pool(web: httpx.Client, found: dict[str, Any]) -> Pool:
    workers = _post(web, f"/work_pools/{found['name']}/workers/filter", {"limit": 100})
    return Pool(
        name=found["name"],
        kind=found["type"],
        is_paused=bool(found["is_paused"]),
        limit=found["concurrency_limit"],
        workers=[
            Worker(w["name"], w["last_heartbeat_time"] or "", w["status"] == "ONLINE")
            for w in workers
        ],
    )


def _get(web: httpx.Client, path: str) -> Any:
    return web.get(path).raise_for_status().json()


def _post(web: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    return web.post(path, json=body).raise_for_status().json()
