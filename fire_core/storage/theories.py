"""Theory levels: what labels were computed with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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


def list_theories(connection: Connection) -> list[tuple[str, str, str, str]]:
    """Return (fingerprint, code, version, settings JSON) of each theory."""
    rows = connection.execute(
        select(
            TheoryRow.fingerprint,
            TheoryRow.code,
            TheoryRow.version,
            TheoryRow.settings_json,
        ).order_by(TheoryRow.fingerprint)
    )
    return [(r[0], r[1], r[2], r[3]) for r in rows]


@dataclass(frozen=True)
class Theories:
    """Theory levels."""

    database: Database

    add = writing(add_theory)
    list = reading(list_theories)
