"""Leases of steps: whoever runs a step of a campaign holds it alone.

An orchestrator may start a step twice: a run whose heartbeats were late is declared
dead and started again while it lives. The second one waits for the lease and then
finds the work done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from fire_core.storage.dialects import database_time, insert_missing
from fire_core.storage.tables import PropertyTable, StepTable
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.storage.transaction import Database


@dataclass(frozen=True, slots=True)
class RunningStep:
    """A step that a process holds; `late_s` > 0: it has stopped renewing."""

    campaign: str
    step: str
    owner: str
    late_s: float


def hold_step(
    connection: Connection, campaign: str, step: str, owner: str, lease_s: float
) -> str | None:
    """Take or renew a step; return who holds it otherwise, None on success."""
    now = database_time(connection)
    row = {
        "campaign": campaign,
        "step": step,
        "owner": owner,
        "lease_until": now + lease_s,
    }
    if insert_missing(connection, StepTable, [row]):
        return None
    which = (StepTable.campaign == campaign, StepTable.step == step)
    held = connection.execute(
        select(StepTable.owner, StepTable.lease_until).where(*which).with_for_update()
    ).one_or_none()
    if held is None:  # let go between the two statements
        return "somebody who has just finished"
    if held.owner != owner and held.lease_until > now:
        return str(held.owner)
    connection.execute(update(StepTable).where(*which).values(row))
    return None


def release_step(connection: Connection, campaign: str, step: str, owner: str) -> None:
    """End a hold; nothing happens where another holds the step by now."""
    connection.execute(
        delete(StepTable).where(
            StepTable.campaign == campaign,
            StepTable.step == step,
            StepTable.owner == owner,
        )
    )


def running_steps(connection: Connection) -> list[RunningStep]:
    """Return the steps that are held, and the properties being measured."""
    steps = select(
        StepTable.campaign, StepTable.step, StepTable.owner, StepTable.lease_until
    )
    properties = select(
        PropertyTable.subject,
        PropertyTable.name,
        PropertyTable.owner,
        PropertyTable.lease_until,
    ).where(PropertyTable.owner.is_not(None), PropertyTable.finished_at.is_(None))
    now = database_time(connection)
    rows = [*connection.execute(steps), *connection.execute(properties)]
    return [RunningStep(r[0], r[1], r[2], now - (r[3] or now)) for r in rows]


@dataclass(frozen=True)
class Steps:
    """Steps that a process runs."""

    database: Database

    hold = writing(hold_step)
    release = writing(release_step)
    running = reading(running_steps)
