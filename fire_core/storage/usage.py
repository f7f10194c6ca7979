"""Use of time: what each step of a campaign took."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from fire_core.storage.tables import UsageTable
from fire_core.storage.transaction import reading, writing_once

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.storage.transaction import Database


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Seconds that one step took."""

    round: int
    step: str
    wall_s: float
    core_s: float
    gpu_s: float
    finished_at: float


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """What a campaign used, and when its last step ended, seconds since 1970."""

    campaign: str
    wall_s: float
    core_s: float
    gpu_s: float
    last_at: float


def insert_usage(connection: Connection, campaign: str, used: UsageRow) -> None:
    """Enter the seconds that a step took."""
    values = {"campaign": campaign} | asdict(used)
    connection.execute(insert(UsageTable).values(values))


def get_usage(connection: Connection, campaign: str) -> list[UsageRow]:
    """Return every use of time by a campaign, oldest first."""
    query = (
        select(
            UsageTable.round,
            UsageTable.step,
            UsageTable.wall_s,
            UsageTable.core_s,
            UsageTable.gpu_s,
            UsageTable.finished_at,
        )
        .where(UsageTable.campaign == campaign)
        .order_by(UsageTable.id)
    )
    return [UsageRow(*row) for row in connection.execute(query)]


def usage_totals(connection: Connection) -> dict[str, UsageTotal]:
    """Return what each campaign used."""
    query = select(
        UsageTable.campaign,
        func.sum(UsageTable.wall_s),
        func.sum(UsageTable.core_s),
        func.sum(UsageTable.gpu_s),
        func.max(UsageTable.finished_at),
    ).group_by(UsageTable.campaign)
    return {row[0]: UsageTotal(*row) for row in connection.execute(query)}


@dataclass(frozen=True)
class Usage:
    """Time that the steps of campaigns took."""

    database: Database

    list = reading(get_usage)
    totals = reading(usage_totals)
    _insert = writing_once(insert_usage)

    def add(
        self,
        campaign: str,
        round_: int,
        step: str,
        *,
        wall_s: float,
        core_s: float,
        gpu_s: float = 0.0,
    ) -> None:
        """Add the seconds that a step took."""
        row = UsageRow(round_, step, wall_s, core_s, gpu_s, time.time())
        self._insert(campaign, row)
