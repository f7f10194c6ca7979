"""Open a database: engine settings, migrations, write transactions."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from fire_core.errors import SchemaTooNewError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

MIGRATIONS: Final = Path(__file__).parent / "migrations"
BUSY_TIMEOUT: Final = 60_000  # ms that SQLite waits for another writer
OPEN_ATTEMPTS: Final = 20
READ_ONLY: Final = "fire_read_only"


def open_engine(url: str) -> Engine:
    """Return an engine on a database whose schema is up to date.

    Raises
    ------
    SchemaTooNewError
        A newer FIRE wrote the database.
    StoreError
        The URL cannot be opened.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        msg = f"expected a database URL such as sqlite:///.fire/fire.db, got {url!r}"
        raise StoreError(msg) from error
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    try:
        migrate(engine)
    except OperationalError as error:
        engine.dispose()
        msg = f"the database {url} cannot be opened: {error.orig}"
        raise StoreError(msg) from error
    except StoreError:
        engine.dispose()
        raise
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to a revision; several processes may do so at once."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    known = {entry.revision for entry in script.walk_revisions()}
    for attempt in range(OPEN_ATTEMPTS):
        try:
            with engine.connect() as connection:
                current = MigrationContext.configure(connection).get_current_revision()
                if current is not None and current not in known:
                    msg = (
                        f"{engine.url} has schema {current}, this FIRE knows up to "
                        f"{script.get_current_head()}: a newer FIRE wrote it; upgrade "
                        "with `pip install --upgrade fire-mlip`"
                    )
                    raise SchemaTooNewError(msg)
                if revision == "head" and current == script.get_current_head():
                    return
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                _move(config, connection, revision)
        except OperationalError:
            if attempt + 1 == OPEN_ATTEMPTS:
                raise
            time.sleep(0.25)
        else:
            return


def _move(config: Config, connection: Connection, revision: str) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    if revision == "head" or current is None:
        command.upgrade(config, revision)
    else:
        command.downgrade(config, revision)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that has the right to write from its first statement."""
    with engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads, beside whoever writes."""
    with engine.connect() as connection:
        yield connection.execution_options(**{READ_ONLY: True})


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours; see _begin_immediate
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once: upgrading a read lock later fails when busy."""
    reads = connection.get_execution_options().get(READ_ONLY)
    connection.execute(text("BEGIN" if reads else "BEGIN IMMEDIATE"))
