"""Transactions, repeated while the database is away: restarted, or its disk full.

`reading`, `writing` and `writing_once` make a method of a function that takes a
connection. The method is one transaction on its object's `database`. It says whether it
reads or writes, and whether it may be repeated where the answer to it was lost.
"""

from __future__ import annotations

import functools
import logging
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, Protocol, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from fire_core.errors import ReadOnlyStoreError, StoreUnavailableError
from fire_core.storage.dialects import database_time, lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

READ_ONLY: Final = "fire_read_only"
"""Option of connections that take no write lock; see `storage.engine`."""
FIRST_WAIT: Final = 0.2  # s
LONGEST_WAIT: Final = 5.0  # s
PASSING: Final = re.compile(r"locked|disk is full|disk I/O", re.IGNORECASE)
"""SQLite's complaints that time may mend; it calls wrong SQL operational, too."""
LASTING: Final = re.compile(
    r"authentication failed|does not exist|no pg_hba\.conf|no password supplied"
    r"|permission denied",
    re.IGNORECASE,
)
"""PostgreSQL's complaints that only a person mends."""
REFUSED: Final = re.compile(r"read-?only (database|transaction)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and for how many seconds it is waited for while it is away."""

    engine: Engine
    patience_s: float = 0.0

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Return what `work` reads in one transaction; it may be repeated."""

        def attempt() -> Result:
            with read_transaction(self.engine) as connection:
                return work(connection)

        return wait_for(self.patience_s, attempt)

    def write(
        self, work: Callable[[Connection], Result], *, repeat: bool = True
    ) -> Result:
        """Return what `work` gives in one transaction that writes.

        Parameters
        ----------
        work
            Statements of the transaction.
        repeat
            Whether it may be done again after an error; otherwise the database is
            waited for first, and an error of the work itself is raised.
        """

        def attempt() -> Result:
            with write_transaction(self.engine) as connection:
                return work(connection)

        if repeat:
            return wait_for(self.patience_s, attempt)
        self.ping()
        return wait_for(-1.0, attempt)

    def ping(self) -> None:
        """Check that the database answers."""
        self.read(lambda connection: connection.execute(select(1)))

    def now(self) -> float:
        """Return the seconds since 1970 by the database's clock."""
        return self.read(database_time)


class HasDatabase(Protocol):
    """What has methods that are transactions."""

    @property
    def database(self) -> Database:
        """The database that they are transactions on."""


def reading(
    function: Callable[Concatenate[Connection, Arguments], Result],
) -> Callable[Concatenate[HasDatabase, Arguments], Result]:
    """Make a method of a function that only reads."""

    @functools.wraps(function)
    def method(
        self: HasDatabase, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        return self.database.read(lambda c: function(c, *args, **kwargs))

    return method


def writing(
    function: Callable[Concatenate[Connection, Arguments], Result],
) -> Callable[Concatenate[HasDatabase, Arguments], Result]:
    """Make a method of a function that writes, and may do so again."""

    @functools.wraps(function)
    def method(
        self: HasDatabase, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        return self.database.write(lambda c: function(c, *args, **kwargs))

    return method


def writing_once(
    function: Callable[Concatenate[Connection, Arguments], Result],
) -> Callable[Concatenate[HasDatabase, Arguments], Result]:
    """Make a method of a function that would act twice if it was repeated."""

    @functools.wraps(function)
    def method(
        self: HasDatabase, /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        return self.database.write(lambda c: function(c, *args, **kwargs), repeat=False)

    return method


@contextmanager
def write_transaction(engine: Engine, name: str | None = None) -> Iterator[Connection]:
    """Open a transaction that has the right to write from its first statement.

    Parameters
    ----------
    engine
        The database.
    name
        Of a lock; writers that name the same one follow one another.
    """
    with engine.begin() as connection:
        if name is not None:
            lock(connection, name)
        yield connection


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads, beside whoever writes."""
    with engine.connect() as connection:
        yield connection.execution_options(**{READ_ONLY: True})


def may_pass(error: DBAPIError) -> bool:
    """Return whether an error of the database can go away by itself."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    text = str(error.orig)
    if type(error.orig).__module__.startswith("sqlite3"):
        return bool(PASSING.search(text))
    return not LASTING.search(text)


def wait_for(patience_s: float, attempt: Callable[[], Result]) -> Result:
    """Call until it is not the database that fails, for at most `patience_s`.

    Each call must be one whole transaction that may be repeated.

    Raises
    ------
    ReadOnlyStoreError
        The database takes no changes.
    StoreUnavailableError
        The database is still away.
    """
    start, pause = time.monotonic(), FIRST_WAIT
    while True:
        try:
            return attempt()
        except DBAPIError as error:
            if REFUSED.search(str(error.orig)):
                msg = (
                    "this database takes no changes, since it is a replica or may only "
                    "be read; name the one that is written to"
                )
                raise ReadOnlyStoreError(msg) from error
            if not may_pass(error):
                raise
            waited = time.monotonic() - start
            reason = str(error.orig).strip().splitlines()[0]
            if waited + pause > patience_s:
                msg = f"the database is away ({reason}); waited {waited:.0f} s for it"
                raise StoreUnavailableError(msg) from error
            if pause == FIRST_WAIT:
                _log().warning("the database is away, waiting: %s", reason)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_WAIT)


def _log() -> logging.Logger:
    return logging.getLogger(__name__)
