"""`fire dashboard`: the pages and the API over the store."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated

import typer

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, Blobs, Database
from fire_core.config.environment import (
    DASHBOARD_AUTH,
    DASHBOARD_PEOPLE,
    DASHBOARD_PROXY,
    DASHBOARD_TRUSTED,
)
from fire_core.errors import ConfigError


def dashboard(  # noqa: PLR0913, PLR0917 - each is an option of the command
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.")] = 8501,
    auth: Annotated[
        str | None,
        typer.Option(envvar=DASHBOARD_AUTH, help="NAME:PASSWORD of an operator."),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            envvar=DASHBOARD_PEOPLE, help="Password file, kept by `fire people`."
        ),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            envvar=DASHBOARD_PROXY, help="Header in which a proxy names its user."
        ),
    ] = None,
    trusted: Annotated[
        str, typer.Option(envvar=DASHBOARD_TRUSTED, help="Networks of that proxy.")
    ] = "127.0.0.1/32,::1/128",
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
) -> None:
    """Show campaigns, structures, labels and models in the browser.

    Without any way to know people, whoever reaches it on this machine is an operator,
    and on another address everybody may look and nobody act.
    """
    import uvicorn

    from dashboard.app import create_app
    from dashboard.settings import DashboardSettings

    settings = DashboardSettings(
        db=db,
        blobs=blobs,
        auth=auth or None,
        people=people,
        proxy_header=proxy or None,
        trusted=_networks(trusted),
        is_local=host in {"127.0.0.1", "localhost", "::1"},
        prefect=_prefect_pages(),
    )
    app = create_app(settings)
    typer.echo(f"dashboard: http://{host}:{port} (stop it with Ctrl-C)")
    uvicorn.run(app, host=host, port=port, log_level="warning", proxy_headers=False)


def _prefect_pages() -> str:
    """Return where people find Prefect's pages; workers may know it by another name."""
    names = ("PREFECT_UI_API_URL", "PREFECT_API_URL")
    found = (os.environ.get(name) for name in names)
    return next((url for url in found if url), "").removesuffix("/api")


def _networks(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        try:
            ipaddress.ip_network(part)
        except ValueError as error:
            msg = f"expected networks such as 10.0.0.0/8, separated by commas: {error}"
            raise ConfigError(msg) from error
    return parts
