"""Examine a database without changing it: kind, schema, round trip, clock."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Final

from alembic.config import Config
from alembic.script import ScriptDirectory

from fire_core.storage.dialects import PGSQL
from fire_core.storage.engine import MIGRATIONS
from fire_core.storage.snapshot import REVISION, open_snapshot

TRIPS: Final = 5


@dataclass(frozen=True, slots=True)
class Health:
    """How a database answers.

    Attributes
    ----------
    kind
        `sqlite` or `postgresql`.
    schema, newest_schema
        Revision of its tables, and the one of this FIRE.
    is_newer
        Whether a newer FIRE wrote it.
    round_trip_ms
        Median time of a question and its answer, ms.
    clock_ahead_s
        How far its clock is ahead of this machine's, s; 0 for a file.
    """

    kind: str
    schema: str
    newest_schema: str
    is_newer: bool
    round_trip_ms: float
    clock_ahead_s: float


def examine_database(url: str) -> Health:
    """Examine a database.

    Raises
    ------
    NoStoreError
        It is no store.
    StoreError
        It cannot be opened.
    """
    with open_snapshot(url) as snapshot:
        schema = str(snapshot.ask(f"SELECT version_num FROM {REVISION}")[0][0])  # noqa: S608 - a constant
        trips = []
        for _ in range(TRIPS):
            start = time.perf_counter()
            snapshot.ask("SELECT 1")
            trips.append(1000 * (time.perf_counter() - start))
        ahead = 0.0
        if snapshot.kind == PGSQL:
            start = time.time()
            clock = "SELECT extract(epoch FROM clock_timestamp())"
            there = float(snapshot.ask(clock)[0][0])
            ahead = there - (start + time.time()) / 2
        newest, known = _revisions()
        return Health(
            kind=snapshot.kind,
            schema=schema,
            newest_schema=newest,
            is_newer=schema not in known,
            round_trip_ms=statistics.median(trips),
            clock_ahead_s=ahead,
        )


def _revisions() -> tuple[str, set[str]]:
    """Return the newest revision, and all that this FIRE knows."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    known = {entry.revision for entry in script.walk_revisions()}
    return str(script.get_current_head()), known
