"""Restore a backup into an empty database."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, func, inspect, select, table, text
from sqlalchemy.exc import DBAPIError

from fire_core.errors import StoreError
from fire_core.storage.backup import BLOBS, Manifest, read_manifest
from fire_core.storage.copying import copy_blobs, copy_store
from fire_core.storage.dialects import PGSQL, SQLITE
from fire_core.storage.engine import PGSQL_CONNECTION, open_engine, parse_url
from fire_core.storage.snapshot import REVISION, TABLES, libpq_url, run_client

if TYPE_CHECKING:
    from sqlalchemy import Engine


def restore(folder: str | Path, url: str, blobs: str | Path) -> Manifest:
    """Restore a store from a backup that is verified first.

    A backup of SQLite can be restored into either kind of database, one of PostgreSQL
    into PostgreSQL. A schema older than this FIRE's is migrated.

    Parameters
    ----------
    folder
        Made by `backup.back_up`.
    url
        An empty database.
    blobs
        Folder that gets the blobs; those that it has stay.

    Raises
    ------
    StoreError
        The backup is not whole, or the database is not empty or of the wrong kind.
    """
    place = Path(folder)
    manifest = read_manifest(place)
    backend = parse_url(url).get_backend_name()
    if manifest.kind == PGSQL and backend != PGSQL:
        msg = (
            f"{place} is a backup of PostgreSQL, got {url} to restore it into: restore "
            "it into a PostgreSQL database, then `fire db copy` that one"
        )
        raise StoreError(msg)
    _refuse_tables(url)
    if manifest.blobs:  # before the rows that name them
        copy_blobs(place / BLOBS, blobs)
    dump = place / manifest.dump
    if manifest.kind == SQLITE:
        _copy_rows(dump, url)
    else:
        run_client(
            "pg_restore",
            *("--exit-on-error", "--single-transaction"),
            *("--no-owner", "--no-privileges"),
            *(f"--dbname={libpq_url(parse_url(url))}", str(dump)),
        )
    engine = open_engine(url)
    try:
        _compare(engine, manifest)
    finally:
        engine.dispose()
    return manifest


def _copy_rows(dump: Path, url: str) -> None:
    """Copy the rows out of a copy of the dump: opening it may migrate it."""
    with tempfile.TemporaryDirectory(prefix="fire-restore-") as scratch:
        copy = Path(scratch) / dump.name
        shutil.copyfile(dump, copy)
        copy_store(f"sqlite:///{copy}", url)


def _refuse_tables(url: str) -> None:
    """Refuse a database that holds anything; drop tables of FIRE that are empty."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == SQLITE:
        if not Path(str(parsed.database)).is_file():
            return
        engine = create_engine(parsed)
    else:
        engine = create_engine(parsed, connect_args=PGSQL_CONNECTION)
    try:
        full = _holdings(engine)
        if full:
            msg = (
                f"expected an empty database to restore into, but {url} holds "
                f"{', '.join(full)}; make another one"
            )
            raise StoreError(msg)
        if engine.dialect.name == PGSQL:
            _drop(engine)
    except DBAPIError as error:
        msg = f"the database {url} cannot be opened: {error.orig}"
        raise StoreError(msg) from error
    finally:
        engine.dispose()


def _holdings(engine: Engine) -> list[str]:
    """Return what a database holds: rows of FIRE, tables of something else."""
    full = []
    with engine.connect() as connection:
        for name in inspect(connection).get_table_names():
            if name not in TABLES:
                full.append(f"a table {name!r}, which is not FIRE's")
                continue
            query = select(func.count()).select_from(table(name))
            number = connection.scalar(query) or 0
            if number and name != REVISION:
                full.append(f"{number} rows in {name}")
    return full


def _drop(engine: Engine) -> None:
    with engine.begin() as connection:
        there = set(inspect(connection).get_table_names())
        for name in reversed(TABLES):
            if name in there:
                connection.execute(text(f'DROP TABLE "{name}"'))


def _compare(engine: Engine, manifest: Manifest) -> None:
    with engine.connect() as connection:
        for name, expected in manifest.tables.items():
            query = select(func.count()).select_from(table(name))
            number = connection.scalar(query)
            if number != expected:
                msg = (
                    f"table {name} has {number} rows after the restore, the backup "
                    f"says {expected}: the database is not to be used; drop it, and "
                    "restore into a new one that nobody opens meanwhile"
                )
                raise StoreError(msg)
