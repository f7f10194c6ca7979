"""Open a database: engine settings and migrations."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from fire_core.errors import SchemaTooNewError, StoreError
from fire_core.storage.dialects import PGSQL, SQLITE
from fire_core.storage.transaction import READ_ONLY, may_pass, write_transaction

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

MIGRATIONS: Final = Path(__file__).parent / "migrations"
BUSY_TIMEOUT: Final = 60_000  # ms that SQLite waits for another writer
OPEN_ATTEMPTS: Final = 20
UNLIMITED: Final = -1
"""Connections beyond the pool's: a thread that waits for one while the database is away
would give up after 30 s, whatever the patience."""
MIGRATION_LOCK: Final = "fire: migrate"
PGSQL_CONNECTION: Final = {
    "application_name": "fire",
    "connect_timeout": 10,  # s
    # A cut network is noticed in half a minute on either side.
    "tcp_user_timeout": 30_000,  # ms
    "keepalives_idle": 10,  # s
    "keepalives_interval": 5,  # s
    "keepalives_count": 3,
    "options": "-c idle_in_transaction_session_timeout=30s",
}


def open_engine(url: str) -> Engine:
    """Return an engine on a database whose schema is up to date.

    Raises
    ------
    SchemaTooNewError
        A newer FIRE wrote the database.
    StoreError
        The URL cannot be opened.
    OperationalError
        The database is away for now; see `storage.transaction`.
    """
    parsed = parse_url(url)
    is_sqlite = parsed.get_backend_name() == SQLITE
    if is_sqlite and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    if is_sqlite:
        engine = create_engine(parsed, max_overflow=UNLIMITED)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    else:
        engine = create_engine(
            parsed,
            connect_args=PGSQL_CONNECTION,
            pool_pre_ping=True,
            max_overflow=UNLIMITED,
        )
    try:
        migrate(engine)
    except OperationalError as error:
        engine.dispose()
        if may_pass(error):
            raise
        msg = f"the database {url} cannot be opened: {error.orig}"
        raise StoreError(msg) from error
    except StoreError:
        engine.dispose()
        raise
    return engine


def parse_url(url: str) -> URL:
    """Return the URL of a database that FIRE can use.

    Raises
    ------
    StoreError
        It is no URL, is of another kind of database, or holds a password.
    """
    expected = "sqlite:///.fire/fire.db or postgresql://user@host/database"
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        msg = f"expected a database URL such as {expected}, got {url!r}"
        raise StoreError(msg) from error
    if backend not in {SQLITE, PGSQL}:
        msg = f"expected a database URL such as {expected}, got one of {backend}"
        raise StoreError(msg)
    if parsed.password is not None:
        msg = (
            f"the database URL {parsed.render_as_string()} holds a password, which "
            "would be kept with every run: leave it out and set PGPASSWORD, or write "
            "it to ~/.pgpass"
        )
        raise StoreError(msg)
    return parsed.set(drivername="postgresql+psycopg") if backend == PGSQL else parsed


def migrate(engine: Engine, revision: str = "head") -> None:
    """Migrate the schema to a revision; several processes may do so at once."""
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
            with write_transaction(engine, MIGRATION_LOCK) as connection:
                config.attributes["connection"] = connection
                _move(config, connection, revision)
        except OperationalError as error:
            last = attempt + 1 == OPEN_ATTEMPTS
            if last or engine.dialect.name != SQLITE or not may_pass(error):
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
