"""Theory levels: what labels were computed with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from fire_core.storage.dialects import insert_missing
from fire_core.storage.tables import TheoryRow
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.storage.transaction import Database


def add_theory(
    connection: Connection,
    fingerprint: str,
    code: str,
    version: str,
    settings_json: str,
) -> None:
    """Enter a theory level; nothing happens when it is known."""
    row = {
        "fingerprint": fingerprint,
        "code": code,
        "version": version,
        "settings_json": settings_json,
    }
    insert_missing(connection, TheoryRow, [row])


class TheoryLevel(NamedTuple):
    """A theory level: the program, its release, its settings as canonical JSON."""

    fingerprint: str
    code: str
    version: str
    settings_json: str


LEVEL = (
    TheoryRow.fingerprint,
    TheoryRow.code,
    TheoryRow.version,
    TheoryRow.settings_json,
)


def list_theories(connection: Connection) -> list[TheoryLevel]:
    """Return every theory level, in the order of fingerprints."""
    rows = connection.execute(select(*LEVEL).order_by(TheoryRow.fingerprint))
    return [TheoryLevel(*row) for row in rows]


def get_theory(connection: Connection, fingerprint: str) -> TheoryLevel | None:
    """Return a theory level, or None where the store has none of that fingerprint."""
    query = select(*LEVEL).where(TheoryRow.fingerprint == fingerprint)
    row = connection.execute(query).one_or_none()
    return None if row is None else TheoryLevel(*row)


@dataclass(frozen=True)
class Theories:
    """Theory levels."""

    database: Database

    add = writing(add_theory)
    get = reading(get_theory)
    list = reading(list_theories)
