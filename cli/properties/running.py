"""Run a measurement from the console, and show what came out."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from cli.prefect_run import set_prefect_defaults, show_expected_errors_once
from cli.properties.table import print_values
from fire_core.config.environment import results_folder
from fire_core.progress import Work
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from fire_core.properties.request import PropertyRequest
    from fire_core.storage.properties import PropertyRow


def measure(request: PropertyRequest, *, as_json: bool = False) -> None:
    """Run a request in this process and show what came out."""
    set_prefect_defaults()
    with Work(f"{request.measure.kind} {request.name}"):
        from flows.properties import properties_flow

        show_expected_errors_once()
        key = properties_flow(request)
    with Store.open(request.store.url, request.store.blobs) as store:
        row = store.properties.need(key)
    show_row(row, as_json=as_json)
    if not as_json:
        folder = request.results or results_folder(request.name)
        Console().print(f"figures and numbers: {folder}", soft_wrap=True)


def show_row(row: PropertyRow, *, as_json: bool) -> None:
    """Print a finished measurement."""
    result = row.need_result()
    if as_json:
        typer.echo(json.dumps(row_facts(row)))
        return
    console = Console(highlight=False)
    asked = row.asked
    console.print(f"{asked.kind} of {asked.formula} by {asked.subject}")
    print_values(console, result.values)
    for note in result.notes:
        console.print(f"- {note}")


def row_facts(row: PropertyRow) -> dict[str, object]:
    """Return a measurement for machines: plain numbers, lists and mappings."""
    facts = asdict(row.asked) | {"request_json": json.loads(row.asked.request_json)}
    result = None if row.result is None else asdict(row.result)
    times = {"created_at": row.created_at, "finished_at": row.finished_at}
    return facts | times | {"wall_s": row.wall_s, "result": result}
