"""Move a whole store into another database: SQLite to PostgreSQL, or back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Table, func, insert, select, text

from fire_core.errors import StoreError
from fire_core.progress import Work, tracked
from fire_core.storage.blobs import BlobStore
from fire_core.storage.dialects import PGSQL, SQLITE
from fire_core.storage.engine import open_engine, parse_url
from fire_core.storage.tables import Base
from fire_core.storage.transaction import read_transaction, write_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

ROWS: Final = 250  # read and written at once; a segment's state may be a megabyte
LOCK: Final = "fire: copy"


class NoStoreError(StoreError):
    """Nothing was written yet where a store is expected."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A table that was copied: its name and number of rows."""

    table: str
    rows: int


@dataclass(frozen=True, slots=True)
class CopiedBlobs:
    """How many blobs were copied, and how many were there already."""

    copied: int
    present: int


def copy_store(source: str, target: str) -> list[Copied]:
    """Copy every row of a store into an empty one; both are verified to be equal.

    The source is read in one transaction; what is written to it meanwhile stays
    behind, so its workers should be stopped. Blobs are files and stay where they are.

    Parameters
    ----------
    source, target
        URLs of the databases. The target's tables are made where they are missing.

    Returns
    -------
    list[Copied]
        Every table, in the order of its dependencies.

    Raises
    ------
    StoreError
        There is no source, the target holds rows already, or what was written differs
        from what was read.
    """
    need_database(source)
    first, second = open_engine(source), open_engine(target)
    try:
        with read_transaction(first) as old, write_transaction(second, LOCK) as new:
            _snapshot(old)
            for connection in (old, new):
                wait_as_long_as_needed(connection)
            _refuse_rows(new, target)
            copied = [_copy(old, new, table) for table in Base.metadata.sorted_tables]
            for table in Base.metadata.sorted_tables:
                _set_sequence(new, table)
                _compare(old, new, table)
    finally:
        first.dispose()
        second.dispose()
    return copied


def copy_blobs(source: str | Path, target: str | Path) -> CopiedBlobs:
    """Copy the blobs that a folder lacks, each verified; may be repeated at any time.

    Raises
    ------
    BlobCorruptedError
        A blob's bytes do not match its name.
    StoreError
        There is no folder to copy from.
    """
    old, new = BlobStore(source), BlobStore(target)
    if not old.folder.is_dir():
        msg = f"expected a folder of blobs, got {old.folder}, which does not exist"
        raise StoreError(msg)
    present = set(list_blobs(new))
    copied = 0
    for sha in tracked(list_blobs(old), "Copying blobs"):
        copied += sha not in present and copy_blob(old, new, sha)
    return CopiedBlobs(copied, len(present))


def list_blobs(blobs: BlobStore) -> list[str]:
    """Return the names of all blobs of a folder, in order."""
    return sorted(
        path.name
        for path in blobs.folder.glob("[0-9a-f][0-9a-f]/*")
        if path.name[:2] == path.parent.name
    )


def copy_blob(source: BlobStore, target: BlobStore, sha: str) -> bool:
    """Copy a blob, verified; say whether it was still there.

    Checkpoints are released while a training goes on.
    """
    try:
        target.put_file(source.path(sha))
    except (StoreError, FileNotFoundError):
        if (source.folder / sha[:2] / sha).exists():
            raise
        return False
    target.path(sha)
    return True


def need_database(url: str) -> None:
    """Refuse the URL of a SQLite file that is not there: opening would make it.

    Raises
    ------
    NoStoreError
        There is none.
    """
    parsed = parse_url(url)
    name = parsed.database or ""
    if parsed.get_backend_name() == SQLITE and not Path(name).is_file():
        msg = f"expected a store at {url}, but there is no file {name!r}"
        raise NoStoreError(msg)


def wait_as_long_as_needed(connection: Connection) -> None:
    """Allow this transaction to be idle while the other database works."""
    if connection.dialect.name == PGSQL:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def _snapshot(connection: Connection) -> None:
    """Make every read of this transaction see one state of the database."""
    if connection.dialect.name == PGSQL:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def _refuse_rows(connection: Connection, target: str) -> None:
    full = [
        f"{table.name} ({number})"
        for table in Base.metadata.sorted_tables
        if (number := _count(connection, table))
    ]
    if full:
        msg = (
            f"expected an empty database to copy into, but {target} holds rows in "
            f"{', '.join(full)}; make another one"
        )
        raise StoreError(msg)


def _count(connection: Connection, table: Table) -> int:
    return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def _copy(old: Connection, new: Connection, table: Table) -> Copied:
    number = 0
    with Work(f"Copying {table.name}", _count(old, table)) as work:
        for rows in _parts(old, table):
            new.execute(insert(table), rows)
            number += len(rows)
            work.reach(number)
    return Copied(table.name, number)


def _parts(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    """Yield a table's rows in the order of their key, some at a time."""
    query = select(table).order_by(*table.primary_key.columns)
    with connection.execute(query, execution_options={"yield_per": ROWS}) as streamed:
        for part in streamed.mappings().partitions(ROWS):
            yield [{name: _plain(row[name]) for name in row} for row in part]


def _set_sequence(connection: Connection, table: Table) -> None:
    """Set the numbers that new rows get: those after the copied ones."""
    column = table.autoincrement_column
    if connection.dialect.name != PGSQL or column is None:
        return
    connection.execute(
        select(
            func.setval(
                func.pg_get_serial_sequence(table.name, column.name),
                func.coalesce(select(func.max(column)).scalar_subquery(), 0) + 1,
                False,
            )
        )
    )


def _compare(old: Connection, new: Connection, table: Table) -> None:
    there, here = _digest(old, table), _digest(new, table)
    if there != here:
        msg = (
            f"table {table.name} differs after the copy ({there[0]} and {here[0]} "
            "rows): was the store written to meanwhile? nothing was kept; stop its "
            "workers and copy again"
        )
        raise StoreError(msg)


def _digest(connection: Connection, table: Table) -> tuple[int, str]:
    """Return the number of rows and a digest that does not see their order.

    Databases sort text by rules of their own, so the digests of rows are added up.
    """
    number, total = 0, 0
    with Work(f"Verifying {table.name}", _count(connection, table)) as work:
        for rows in _parts(connection, table):
            for row in rows:
                words = repr(sorted(row.items()))
                total += int.from_bytes(hashlib.sha256(words.encode()).digest(), "big")
                number += 1
            work.reach(number)
    return number, f"{total % 2**256:064x}"


def _plain(value: Any) -> Any:
    """Return bytes as such, and text as PostgreSQL can hold it, without NUL."""
    if isinstance(value, memoryview):
        return bytes(value)
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
