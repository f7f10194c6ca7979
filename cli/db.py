"""`fire db`: import, export, copy and count what is there."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cli.db_backup import backup, restore
from cli.db_import import import_files
from cli.options import DEFAULT_BLOBS, DEFAULT_DB, AsJson, Blobs, Database
from fire_core.campaign.views.theories import need_theory
from fire_core.records import LabelState
from fire_core.storage.copying import copy_blobs, copy_store
from fire_core.storage.exchange import export_extxyz
from fire_core.storage.store import Store

app = typer.Typer(no_args_is_help=True)
app.command()(backup)
app.command()(restore)
app.command("import")(import_files)


@app.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(help="extxyz to write.")],
    theory: Annotated[
        str, typer.Option(help="Fingerprint or name of the theory level.")
    ],
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
) -> None:
    """Write every finished label of a theory level, exact to the last bit."""
    with Store.open(db, blobs) as store:
        number = export_extxyz(store, file, need_theory(store, theory))
    typer.echo(f"{number} labelled structures in {file}")


@app.command("copy")
def copy_database(
    source: Annotated[str, typer.Argument(help="URL of the store to copy.")],
    target: Annotated[str, typer.Argument(help="URL of an empty database.")],
    blobs: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Folders FROM and TO: copy the blobs that TO lacks, too."),
    ] = None,
) -> None:
    """Copy a store into another database: a SQLite campaign moves to PostgreSQL.

    Stop the workers of the source first: what they write meanwhile stays behind.
    Blobs are files, and stay where they are unless --blobs says where to.
    """
    if blobs is not None:
        files = copy_blobs(*blobs)
        typer.echo(f"blobs: {files.copied} copied, {files.present} were there already")
    tables = copy_store(source, target)
    for table in tables:
        if table.rows:
            typer.echo(f"{table.table}: {table.rows} rows")
    typer.echo(f"every row of {source} is in {target}; set FIRE_DB={target}")


@app.command()
def stats(
    db: Database = DEFAULT_DB, blobs: Blobs = DEFAULT_BLOBS, as_json: AsJson = False
) -> None:
    """Count structures, and labels by theory level and state."""
    with Store.open(db, blobs) as store:
        structures = store.structures.count()
        theories: dict[str, dict[str, Any]] = {
            fingerprint: {
                "code": f"{code} {version}",
                "settings": settings,
                "labels": {
                    state.value: number
                    for state, number in store.labels.counts(fingerprint).items()
                },
                "failures": Counter(
                    str(row.kind) for row in store.labels.failed(fingerprint)
                ),
            }
            for fingerprint, code, version, settings in store.theories.list()
        }
    if as_json:
        typer.echo(json.dumps({"structures": structures, "theories": theories}))
        return
    table = Table("theory", "code", "settings", *(s.value for s in LabelState))
    for fingerprint, facts in theories.items():
        counts = [str(facts["labels"].get(state.value, 0)) for state in LabelState]
        table.add_row(fingerprint, str(facts["code"]), str(facts["settings"]), *counts)
    console = Console()
    console.print(f"{structures} structures in {db}", highlight=False)
    console.print(table)
