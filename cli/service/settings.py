"""What Prefect is told in a service on one machine, each with its reason."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cli.prefect_run import PREFECT_DEFAULTS
from fire_core.config import environment

if TYPE_CHECKING:
    from pathlib import Path

HEARTBEAT_S: Final = 30

SERVER: Final = {
    **PREFECT_DEFAULTS,
    # Slots of limits that live in memory are lost when the server restarts.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    # Runs are kept for ever otherwise; the store keeps what matters.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
}
CLIENT: Final = {
    # Silence is how a dead run is told from a living one.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
    # Ten seconds by default, for every step of a campaign.
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    # OpenMP threads that spin for long starve each other on a shared machine.
    "GOMP_SPINCOUNT": "3000",
}


def service_environment(folder: Path, host: str, port: int) -> dict[str, str]:
    """Return the environment of server, workers and dashboard.

    What is set already holds. Paths are absolute: a worker runs each flow in a folder
    of its own.
    """
    home = folder.resolve()
    api = f"http://{host}:{port}/api"
    defaults = {
        **SERVER,
        **CLIENT,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_UI_API_URL": api,  # else the page asks port 4200
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
            f"sqlite+aiosqlite:///{home / 'prefect.db'}"
        ),
        environment.DATABASE: f"sqlite:///{home / 'fire.db'}",
        environment.BLOBS: str(home / "blobs"),
        environment.RESULTS: str(home.parent / "results"),
    }
    fixed = {"PREFECT_API_URL": api}
    if auth := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        fixed["PREFECT_API_AUTH_STRING"] = auth
    return {**defaults, **os.environ, **fixed}
