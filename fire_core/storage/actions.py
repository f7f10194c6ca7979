"""Actions: what people did on the dashboard or the console, and what was refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select

from fire_core.storage.dialects import database_time
from fire_core.storage.tables import ActionTable
from fire_core.storage.transaction import reading, writing_once

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.storage.transaction import Database

DONE: Final = "done"


REFUSED: Final = "refused"


LONGEST: Final = {"actor": 128, "role": 16, "action": 32, "subject": 255}
"""Characters that a column holds; a name that a stranger gives may be of any length."""


@dataclass(frozen=True, slots=True)
class Action:
    """Something that somebody did or tried to do.

    Attributes
    ----------
    actor, role
        Who, and as what; a stranger has the role `nobody`.
    action
        Such as `approve`, `retry`, `promote`, `login`.
    subject
        What it was done to.
    outcome
        `done` or `refused`.
    detail
        Why it was refused, or what it came to.
    """

    actor: str
    role: str
    action: str
    subject: str
    outcome: str = DONE
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ActionRow:
    """An action as it was kept; `at` is in seconds since 1970."""

    id: int
    at: float
    action: Action


def record_action(connection: Connection, action: Action) -> None:
    """Keep what somebody did; what is too long for its column is cut."""
    facts = {k: v[: LONGEST.get(k)] for k, v in asdict(action).items()}
    facts |= {"at": database_time(connection)}
    connection.execute(insert(ActionTable).values(facts))


def list_actions(connection: Connection, most: int = 100) -> list[ActionRow]:
    """Return the latest actions, newest first."""
    columns = [
        getattr(ActionTable, name)
        for name in ("actor", "role", "action", "subject", "outcome", "detail")
    ]
    query = (
        select(ActionTable.id, ActionTable.at, *columns)
        .order_by(ActionTable.id.desc())
        .limit(most)
    )
    return [
        ActionRow(row[0], row[1], Action(*row[2:])) for row in connection.execute(query)
    ]


@dataclass(frozen=True)
class Actions:
    """What people did."""

    database: Database

    record = writing_once(record_action)
    list = reading(list_actions)
