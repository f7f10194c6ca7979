"""What differs between SQLite and PostgreSQL: locks, inserts, the clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

PGSQL: Final = "postgresql"
SQLITE: Final = "sqlite"


def lock(connection: Connection, name: str) -> None:
    """Wait for other writers that name the same lock, until the transaction ends.

    SQLite has one writer at a time anyway.
    """
    if connection.dialect.name == PGSQL:
        key = func.hashtextextended(name, 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def insert_missing(
    connection: Connection, table: Any, rows: Sequence[dict[str, Any]]
) -> int:
    """Insert the rows whose keys are not there yet; return how many.

    Rows should come in the order of their keys, so that two writers of the same rows
    wait for each other in the same order.
    """
    if not rows:
        return 0
    if connection.dialect.name != PGSQL:
        # Its driver adds up what a statement did for many rows; see PEP 249.
        plain = sqlite.insert(table).on_conflict_do_nothing()
        return int(connection.execute(plain, list(rows)).rowcount)
    # psycopg does not tell how many rows of many were inserted; RETURNING does.
    statement = postgresql.insert(table).on_conflict_do_nothing().returning(literal(1))
    return len(connection.execute(statement, list(rows)).all())


def database_time(connection: Connection) -> float:
    """Return the seconds since 1970 by the clock that every client shares.

    That is PostgreSQL's. A SQLite database is used from one machine alone.
    """
    if connection.dialect.name != PGSQL:
        return time.time()
    now = select(func.extract("epoch", func.clock_timestamp()))
    return float(connection.execute(now).scalar_one())
