"""`fire properties`: measure, list and show properties of models."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.properties.adhesion import adhesion
from cli.properties.compare import compare
from cli.properties.elasticity import elasticity
from cli.properties.impedance import fit_spectrum, impedance
from cli.properties.kinds import list_kinds, measure_kind
from cli.properties.running import measure, row_facts, show_row
from cli.properties.transport import trajectory, transport
from fire_core.properties.load import load_property, property_schema
from fire_core.storage.store import Store

app = typer.Typer(no_args_is_help=True)
app.command("measure")(measure_kind)
app.command("kinds")(list_kinds)
app.command()(compare)
app.command()(impedance)
app.command("fit-spectrum")(fit_spectrum)
app.command()(elasticity)
app.command()(adhesion)
app.command()(transport)
app.command()(trajectory)

Name = Annotated[str, typer.Argument(help="Its name, or the beginning of its key.")]


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="Property file, YAML.")],
    as_json: AsJson = False,
) -> None:
    """Measure what a file asks for, or what is left of it."""
    measure(load_property(file), as_json=as_json)


@app.command("list")
def list_properties(
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """List measurements, the newest first."""
    with Store.open(db, blobs) as store:
        rows = store.properties.list(kind=kind)
    if as_json:
        typer.echo(json.dumps([row_facts(row) for row in rows]))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    whole = {"name", "kind", "state"}
    for head in ("name", "kind", "of", "model", "state", "asked", "key"):
        table.add_column(head, overflow="fold", no_wrap=head in whole)
    for row in rows:
        asked = row.asked
        state = "finished" if row.finished_at is not None else "unfinished"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.created_at))
        table.add_row(
            *(asked.name, asked.kind, asked.formula, asked.subject),
            *(state, when, asked.key[:12]),
        )
    Console().print(table if rows else f"no measurement in {db}")


@app.command()
def show(
    name: Name,
    folder: Annotated[
        Path | None, typer.Option(help="Also write its figures and numbers here.")
    ] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Show what a measurement gave; draw its figures again."""
    with Store.open(db, blobs) as store:
        row = store.properties.need(name)
    if folder is not None:
        from fire_core.campaign.steps.properties import write_property

        write_property(row, folder)
    show_row(row, as_json=as_json)


@app.command()
def schema() -> None:
    """Print the JSON schema of a property file."""
    typer.echo(json.dumps(property_schema(), indent=2))
