"""Examine the service, and print what was found; `fire doctor --service`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.prefect_run import set_prefect_defaults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.service.server_checks import Expected
    from cli.service.service_checks import Check

COLOURS: Final = {"error": "red", "warning": "yellow", "ok": "green"}


def check_service(db: str, blobs: str, *, as_json: bool) -> bool:
    """Examine machine, store and server; print it; say whether there is no error."""
    set_prefect_defaults()
    from cli.service.server_checks import check_server
    from cli.service.service_checks import Status, check_machine

    checks = [*check_machine(db, blobs), *check_server(expected_service())]
    fit = all(check.status is not Status.ERROR for check in checks)
    if as_json:
        facts = {"fit": fit, "checks": [asdict(check) for check in checks]}
        typer.echo(json.dumps(facts))
    else:
        _show(checks)
    return fit


def expected_service() -> Expected:
    """Return what `fire deploy` makes."""
    from cli.service.automations import (
        crash_silent_runs,
        crash_stuck_runs,
        restart_campaigns,
    )
    from cli.service.blueprint import GPU_POOL, POOLS, read_deployments
    from cli.service.server_checks import Expected
    from cli.service.settings import HEARTBEAT_S

    wanted = (crash_silent_runs(), crash_stuck_runs("process"), restart_campaigns())
    return Expected(
        pools=POOLS,
        gpu_pool=GPU_POOL,
        deployments={f"fire-{d.name}/{d.name}": d.pool for d in read_deployments()},
        automations=tuple(automation.name for automation in wanted),
        heartbeat_s=HEARTBEAT_S,
    )


def _show(checks: Sequence[Check]) -> None:
    table = Table("", "check", "what", "remedy")
    for check in checks:
        colour = COLOURS[check.status]
        table.add_row(
            f"[{colour}]{check.status}[/{colour}]",
            escape(check.name),
            escape(check.what),
            escape(check.remedy),
        )
    console = Console(highlight=False)
    console.print(table)
    counts = [f"{sum(c.status == s for c in checks)} {s}" for s in COLOURS]
    console.print(", ".join(counts))
