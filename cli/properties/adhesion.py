"""`fire properties adhesion`: the work of adhesion of an interface."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.properties.options import (
    Asked,
    Model,
    RequestName,
    Results,
    Threads,
    make_request,
    plain_name,
)
from fire_core.config.load import load_campaign


def adhesion(  # noqa: PLR0913 - one parameter for each option
    interface: Annotated[
        str,
        typer.Argument(
            help="A named interface (`fire system list --interfaces`) or a campaign "
            "file that builds one."
        ),
    ],
    *,
    model: Model = "fire-mini",
    vacuum: Annotated[
        float | None,
        typer.Option(help="Å above the top slab; 0: a periodic stack of two contacts."),
    ] = None,
    relax: Annotated[
        bool, typer.Option(help="Relax the interface and the separated slabs.")
    ] = True,
    name: RequestName = None,
    threads: Threads = 0,
    results: Results = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Measure the work of adhesion of an interface."""
    from cli.properties.running import measure

    system: dict[str, Any] = {"preset": interface}
    if Path(interface).is_file():
        system = load_campaign(Path(interface)).system.model_dump(exclude_unset=True)
    if vacuum is not None:
        system["vacuum"] = vacuum
    asked = Asked(
        name or plain_name(interface, model, "adhesion"),
        system, model, threads, db, blobs, results,
    )  # fmt: skip
    measure(make_request(asked, {"kind": "adhesion", "relax": relax}), as_json=as_json)
