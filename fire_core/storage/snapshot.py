"""One state of a database, read and dumped while others go on writing."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from fire_core.errors import StoreError
from fire_core.storage.copying import (
    NoStoreError,
    need_database,
    wait_as_long_as_needed,
)
from fire_core.storage.dialects import PGSQL, SQLITE
from fire_core.storage.engine import BUSY_TIMEOUT, PGSQL_CONNECTION, parse_url
from fire_core.storage.tables import Base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL

REVISION: Final = "alembic_version"
TABLES: Final = (*(table.name for table in Base.metadata.sorted_tables), REVISION)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A database as it was at one moment.

    Attributes
    ----------
    kind
        `sqlite` or `postgresql`.
    ask
        Runs a query, returns its rows.
    dump
        Writes this very state to a file.
    """

    kind: str
    ask: Callable[[str], list[tuple[Any, ...]]]
    dump: Callable[[Path], None]

    def tables(self) -> list[str]:
        """Return FIRE's tables that are there."""
        query = (
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            if self.kind == SQLITE
            else "SELECT table_name FROM information_schema.tables "
            "WHERE table_schema = current_schema()"
        )
        there = {str(row[0]) for row in self.ask(query)}
        return [name for name in TABLES if name in there]


@contextmanager
def open_snapshot(url: str) -> Iterator[Snapshot]:
    """Open a database for reading as it is now; its schema is not migrated.

    Raises
    ------
    NoStoreError
        It is no store.
    StoreError
        It cannot be opened.
    """
    parsed = parse_url(url)
    need_database(url)
    opened = _open_sqlite if parsed.get_backend_name() == SQLITE else _open_postgres
    with opened(parsed) as snapshot:
        if REVISION not in snapshot.tables():
            msg = f"expected a FIRE store at {url}, got a database without its tables"
            raise NoStoreError(msg)
        yield snapshot


@contextmanager
def _open_sqlite(url: URL) -> Iterator[Snapshot]:
    # Writing is allowed, since a reader must make the WAL's index where it is missing.
    address = Path(str(url.database)).resolve().as_uri() + "?mode=rw"
    with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as source:
        source.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
        source.execute("BEGIN")  # the first read fixes the state; `backup` stays in it

        def dump(file: Path) -> None:
            with closing(sqlite3.connect(file, isolation_level=None)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, no -wal beside
                (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                msg = f"{url} is damaged: SQLite's integrity check says {verdict}"
                raise StoreError(msg)

        try:
            yield Snapshot(SQLITE, lambda query: source.execute(query).fetchall(), dump)
        except sqlite3.DatabaseError as error:
            msg = f"the database {url} cannot be read: {error}"
            raise StoreError(msg) from error


@contextmanager
def _open_postgres(url: URL) -> Iterator[Snapshot]:
    engine = create_engine(
        url, connect_args=PGSQL_CONNECTION, isolation_level="REPEATABLE READ"
    )
    try:
        with engine.connect() as source:
            wait_as_long_as_needed(source)
            name = source.scalar(text("SELECT pg_export_snapshot()"))

            def ask(query: str) -> list[tuple[Any, ...]]:
                return [tuple(row) for row in source.execute(text(query))]

            def dump(file: Path) -> None:
                names = [f"--table={table}" for table in snapshot.tables()]
                run_client(
                    "pg_dump",
                    *("--format=custom", "--no-owner", "--no-privileges"),
                    *(f"--snapshot={name}", f"--file={file}", *names),
                    f"--dbname={libpq_url(url)}",
                )

            snapshot = Snapshot(PGSQL, ask, dump)
            yield snapshot
    except DBAPIError as error:
        msg = f"the database {url} cannot be read: {error.orig}"
        raise StoreError(msg) from error
    finally:
        engine.dispose()


def libpq_url(url: URL) -> str:
    """Return a URL as PostgreSQL's own programs read it; passwords come otherwise."""
    return url.set(drivername=PGSQL).render_as_string()


def run_client(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's client programs.

    Raises
    ------
    StoreError
        It is not installed, or it failed.
    """
    path = shutil.which(program)
    if path is None:
        msg = (
            f"expected PostgreSQL's program {program} on the PATH, found none: on "
            "Debian and Ubuntu `apt-get install postgresql-client`, of the server's "
            "major version or a newer one"
        )
        raise StoreError(msg)
    done = subprocess.run(
        [path, "--no-password", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        complaint = done.stderr.strip()
        cure = ""
        if "version mismatch" in complaint or "unsupported version" in complaint:
            cure = "; install the postgresql-client of the newer version"
        elif "password" in complaint:
            cure = "; set PGPASSWORD, or write the password to ~/.pgpass"
        msg = f"{program} ended with exit status {done.returncode}: {complaint}{cure}"
        raise StoreError(msg)
