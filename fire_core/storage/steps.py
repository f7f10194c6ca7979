"""Leases of steps: whoever runs a step of a campaign holds it alone.

An orchestrator may start a step twice: a run whose heartbeats were late is declared
dead and started again while it lives. The second one waits for the lease and then
finds the work done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from fire_core.storage.engine import database_time, insert_missing, writing
from fire_core.storage.tables import StepTable

if TYPE_CHECKING:
    from sqlalchemy import Engine


class StepTables:
    """Running steps; a part of `Store`."""

    engine: Engine

    def hold_step(
        self, campaign: str, step: str, owner: str, lease_s: float
    ) -> str | None:
        """Take or renew a step; return who holds it otherwise, None on success."""
        with writing(self.engine) as connection:
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
                select(StepTable.owner, StepTable.lease_until)
                .where(*which)
                .with_for_update()
            ).one_or_none()
            if held is None:  # let go between the two statements
                return "somebody who has just finished"
            if held.owner != owner and held.lease_until > now:
                return str(held.owner)
            connection.execute(update(StepTable).where(*which).values(row))
            return None

    def let_go_of_step(self, campaign: str, step: str, owner: str) -> None:
        """End a hold; nothing happens where another holds the step by now."""
        with writing(self.engine) as connection:
            connection.execute(
                delete(StepTable).where(
                    StepTable.campaign == campaign,
                    StepTable.step == step,
                    StepTable.owner == owner,
                )
            )
