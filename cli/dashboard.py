"""`fire dashboard`: the page over the store."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, Blobs, Database
from fire_core.config.environment import DASHBOARD_AUTH


def dashboard(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.")] = 8501,
    auth: Annotated[
        str | None,
        typer.Option(envvar=DASHBOARD_AUTH, help="NAME:PASSWORD of every visitor."),
    ] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
) -> None:
    """Show campaigns, labels and what waits for approval in the browser."""
    import uvicorn

    from dashboard.app import create_app

    uvicorn.run(create_app(db, blobs, auth), host=host, port=port, log_level="warning")
