"""`fire properties`: measure, list and show properties of models."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from cli.prefect_run import set_prefect_defaults, show_expected_errors_once
from cli.properties.transport import trajectory, transport
from fire_core.config.environment import results_folder
from fire_core.config.load import load_property, property_schema
from fire_core.properties.values import format_value
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from fire_core.config.properties.request import PropertyRequest
    from fire_core.storage.properties import PropertyRow

app = typer.Typer(no_args_is_help=True)
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
        rows = store.list_properties(kind=kind)
    if as_json:
        typer.echo(json.dumps([_facts(row) for row in rows]))
        return
    table = Table("name", "kind", "of", "model", "state", "asked", "key")
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
        row = store.need_property(name)
    if folder is not None:
        from tasks.properties.measure import write_property

        write_property(row, folder)
    show_row(row, as_json=as_json)


@app.command()
def schema() -> None:
    """Print the JSON schema of a property file."""
    typer.echo(json.dumps(property_schema(), indent=2))


def measure(request: PropertyRequest, *, as_json: bool = False) -> None:
    """Run a request in this process and show what came out."""
    set_prefect_defaults()
    from flows.properties import properties_flow

    show_expected_errors_once()
    key = properties_flow(request)
    with Store.open(request.store.url, request.store.blobs) as store:
        row = store.need_property(key)
    show_row(row, as_json=as_json)
    if not as_json:
        folder = request.results or results_folder(request.name)
        Console().print(f"figures and numbers: {folder}", soft_wrap=True)


def show_row(row: PropertyRow, *, as_json: bool) -> None:
    """Print a finished measurement."""
    result = row.need_result()
    if as_json:
        typer.echo(json.dumps(_facts(row)))
        return
    console = Console(highlight=False)
    asked = row.asked
    console.print(f"{asked.kind} of {asked.formula} by {asked.subject}")
    table = Table("property", "conditions", "value", "95 % interval", "note")
    for value in result.values:
        conditions = ", ".join(f"{k} {v}" for k, v in value.conditions.items())
        interval = ""
        if value.low is not None and value.high is not None:
            interval = f"{value.low:.4g} … {value.high:.4g}"
        table.add_row(value.name, conditions, format_value(value), interval, value.note)
    console.print(table)
    for note in result.notes:
        console.print(f"- {note}")


def _facts(row: PropertyRow) -> dict[str, object]:
    facts = asdict(row.asked) | {"request_json": json.loads(row.asked.request_json)}
    result = None if row.result is None else asdict(row.result)
    times = {"created_at": row.created_at, "finished_at": row.finished_at}
    return facts | times | {"wall_s": row.wall_s, "result": result}
