"""Wait out a database that is away: restarted, unreachable, or its disk full."""

from __future__ import annotations

import functools
import logging
import re
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from fire_core.errors import ReadOnlyStoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

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

READ_ONLY: Final = re.compile(r"read-?only (database|transaction)", re.IGNORECASE)


def may_pass(error: DBAPIError) -> bool:
    """Say whether an error of the database can go away by itself."""
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
            if READ_ONLY.search(str(error.orig)):
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


def outlast(method: Callable[..., Any], *, repeat: bool = True) -> Callable[..., Any]:
    """Let a method that is one transaction wait until its database is back.

    Parameters
    ----------
    method
        Of an object that has `patience_s` and `ping()`.
    repeat
        Whether it may be called again after an error; otherwise the database is
        waited for first, and an error of the call itself is raised.
    """

    @functools.wraps(method)
    def patient(self: Any, *args: Any, **kwargs: Any) -> Any:
        if repeat:
            return wait_for(self.patience_s, lambda: method(self, *args, **kwargs))
        self.ping()
        return wait_for(-1.0, lambda: method(self, *args, **kwargs))

    return patient


def _log() -> logging.Logger:
    return logging.getLogger(__name__)
