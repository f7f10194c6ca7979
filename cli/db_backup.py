"""`fire db backup` and `fire db restore`: the store and its blobs, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_BLOBS, DEFAULT_DB, Blobs, Database
from fire_core.storage.backup import back_up
from fire_core.storage.restoring import restore as bring_back

if TYPE_CHECKING:
    from fire_core.storage.backup import Manifest


def backup(
    folder: Annotated[Path, typer.Argument(help="New folder for the backup.")],
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Make it even if blobs are missing."),
    ] = False,
) -> None:
    """Back database and blobs up, in one consistent state, while campaigns go on.

    PostgreSQL needs its client program pg_dump. Prefect's database is not part of it.
    """
    manifest = back_up(db, blobs, folder, allow_missing=allow_missing)
    typer.echo(f"{folder}: {_describe(manifest)}")
    if manifest.missing:
        typer.echo(
            f"without {len(manifest.missing)} blobs that are missing from the store: "
            f"{', '.join(manifest.missing)}"
        )


def restore(
    folder: Annotated[Path, typer.Argument(help="Made by `fire db backup`.")],
    db: Database = DEFAULT_DB,
    blobs: Blobs = DEFAULT_BLOBS,
) -> None:
    """Restore a backup into an empty database, verified before and after."""
    manifest = bring_back(folder, db, blobs)
    typer.echo(f"{db} and {blobs}: {_describe(manifest)}")


def _describe(manifest: Manifest) -> str:
    rows = sum(manifest.tables.values())
    labels = manifest.tables.get("label", 0)
    return (
        f"{manifest.kind} of {manifest.made_at}, FIRE {manifest.fire}, schema "
        f"{manifest.schema}: {rows} rows ({labels} labels), "
        f"{len(manifest.blobs)} blobs"
    )
