"""Every campaign at a glance: time used, choices made, steps that run now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from fire_core.storage.engine import database_time, reading
from fire_core.storage.tables import (
    EvaluationTable,
    ModelTable,
    PropertyTable,
    SelectionMember,
    StepTable,
    UsageTable,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """What a campaign used, and when its last step ended, seconds since 1970."""

    campaign: str
    wall_s: float
    core_s: float
    gpu_s: float
    last_at: float


@dataclass(frozen=True, slots=True)
class RunningStep:
    """A step that a process holds; `late_s` > 0: it has stopped renewing."""

    campaign: str
    step: str
    owner: str
    late_s: float


@dataclass(frozen=True, slots=True)
class ChoiceSize:
    """Structures in a campaign's choice."""

    campaign: str
    round: int
    purpose: str
    size: int


class CampaignBrowsing:
    """All campaigns in few queries; a part of `Store`."""

    engine: Engine

    def usage_totals(self) -> dict[str, UsageTotal]:
        """Return what each campaign used."""
        query = select(
            UsageTable.campaign,
            func.sum(UsageTable.wall_s),
            func.sum(UsageTable.core_s),
            func.sum(UsageTable.gpu_s),
            func.max(UsageTable.finished_at),
        ).group_by(UsageTable.campaign)
        with reading(self.engine) as connection:
            return {row[0]: UsageTotal(*row) for row in connection.execute(query)}

    def running_steps(self) -> list[RunningStep]:
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
        with reading(self.engine) as connection:
            now = database_time(connection)
            rows = [*connection.execute(steps), *connection.execute(properties)]
        return [RunningStep(r[0], r[1], r[2], now - (r[3] or now)) for r in rows]

    def choice_sizes(self) -> list[ChoiceSize]:
        """Return the choices of all campaigns, by campaign and round."""
        query = (
            select(
                SelectionMember.campaign,
                SelectionMember.round,
                SelectionMember.purpose,
                func.count(),
            )
            .group_by(
                SelectionMember.campaign,
                SelectionMember.round,
                SelectionMember.purpose,
            )
            .order_by(SelectionMember.campaign, SelectionMember.round)
        )
        with reading(self.engine) as connection:
            return [ChoiceSize(*row) for row in connection.execute(query)]

    def model_states(self) -> dict[str, list[tuple[str, str]]]:
        """Return (name, state) of each campaign's models, oldest first."""
        query = select(ModelTable.campaign, ModelTable.name, ModelTable.state)
        found: dict[str, list[tuple[str, str]]] = {}
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(ModelTable.created_at))
            for campaign, name, state in rows:
                found.setdefault(campaign, []).append((name, state))
        return found

    def evaluated(self) -> dict[str, set[tuple[str, str]]]:
        """Return (model, data set) of what was measured in each campaign."""
        query = select(
            EvaluationTable.campaign, EvaluationTable.model, EvaluationTable.dataset
        )
        found: dict[str, set[tuple[str, str]]] = {}
        with reading(self.engine) as connection:
            for campaign, model, dataset in connection.execute(query):
                found.setdefault(campaign, set()).add((model, dataset))
        return found
