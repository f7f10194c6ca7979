"""`fire label`: failed labels by cause, and another try."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from fire_core.labelling.triage import FIXES
from fire_core.records import FailureKind
from fire_core.storage.actions import Action
from fire_core.storage.store import Store

app = typer.Typer(no_args_is_help=True)


@app.command()
def failures(
    db: Database = DEFAULT_DB, blobs: Blobs = DEFAULT_BLOBS, as_json: AsJson = False
) -> None:
    """List every failed label with its cause and reason."""
    with Store.open(db, blobs) as store:
        rows = [
            row
            for fingerprint, *_ in store.theories.list()
            for row in store.labels.failed(fingerprint)
        ]
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows]))
        return
    table = Table("structure", "theory", "cause", "attempts", "reason", "what to do")
    for row in rows:
        fix = FIXES[FailureKind(row.kind)] if row.kind else ""
        facts = (row.key[:12], row.theory, row.kind, str(row.attempts), row.reason)
        table.add_row(*facts, fix)
    Console().print(table if rows else "no label has failed")


@app.command()
def retry(
    theory: Annotated[str, typer.Argument(help="Fingerprint of the theory level.")],
    cause: Annotated[
        str | None, typer.Option(help="Only failures of this cause.")
    ] = None,
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    as_json: AsJson = False,
) -> None:
    """Make failed labels wanted again; the next run of their campaign takes them."""
    with Store.open(db, blobs) as store:
        number = store.labels.retry(theory, cause)
        told = f"{number} labels are wanted again"
        subject = theory if cause is None else f"{theory} {cause}"
        store.actions.record(
            Action(getpass.getuser(), "console", "retry", subject, detail=told)
        )
    typer.echo(json.dumps({"wanted": number}) if as_json else told)
