"""The queue of labels, who computes them, why some failed, and how fast they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from fire_core.records import LabelState
from fire_core.storage.dialects import database_time
from fire_core.storage.label_queries import FACTS, LabelRow, unpack_row
from fire_core.storage.tables import (
    LabelTable,
    SelectionMember,
    StructureRow,
    TheoryRow,
    UsageTable,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class QueuedLabel:
    """A label with its structure's size; `id` is its place in the queue."""

    id: int
    formula: str
    n_atoms: int
    label: LabelRow


@dataclass(frozen=True, slots=True)
class LabelWorker:
    """A labelling process that holds labels; `late_s` > 0: its lease ran out."""

    owner: str
    theory: str
    labels: int
    late_s: float


@dataclass(frozen=True, slots=True)
class FailureCount:
    """Failed labels of one cause, and the latest reason that was given."""

    theory: str
    kind: str
    labels: int
    reason: str


@dataclass(frozen=True, slots=True)
class LabelPace:
    """Labels finished within the last hours, and the core-seconds of all of them."""

    finished: int
    core_seconds: float


def browse_labels(
    connection: Connection,
    theory: str,
    state: LabelState,
    *,
    before: int | None = None,
    kind: str | None = None,
    most: int = 50,
) -> list[QueuedLabel]:
    """Return a page of labels, latest of the queue first.

    Parameters
    ----------
    theory, state
        Which labels.
    before
        `id` of the last label of the page before.
    kind
        Only failures of this cause.
    most
        Labels on a page.
    """
    query = (
        select(LabelTable.id, StructureRow.formula, StructureRow.n_atoms, *FACTS)
        .join(StructureRow, StructureRow.key == LabelTable.structure)
        .where(LabelTable.theory == theory, LabelTable.state == state.value)
        .order_by(LabelTable.id.desc())
        .limit(most)
    )
    if before is not None:
        query = query.where(LabelTable.id < before)
    if kind is not None:
        query = query.where(LabelTable.failure_kind == kind)
    return [
        QueuedLabel(row[0], row[1], row[2], unpack_row(row[3:]))
        for row in connection.execute(query)
    ]


def label_workers(connection: Connection) -> list[LabelWorker]:
    """Return who holds labels now."""
    query = (
        select(
            LabelTable.owner,
            LabelTable.theory,
            func.count(),
            func.min(LabelTable.lease_until),
        )
        .where(_of_any_theory(), LabelTable.state == LabelState.CLAIMED.value)
        .group_by(LabelTable.owner, LabelTable.theory)
        .order_by(LabelTable.owner)
    )
    now = database_time(connection)
    return [
        LabelWorker(str(row[0]), row[1], row[2], now - (row[3] or now))
        for row in connection.execute(query)
    ]


def failure_counts(connection: Connection) -> list[FailureCount]:
    """Return failed labels by theory and cause, the most frequent first."""
    latest = func.max(LabelTable.id)
    query = (
        select(LabelTable.theory, LabelTable.failure_kind, func.count(), latest)
        .where(_of_any_theory(), LabelTable.state == LabelState.FAILED.value)
        .group_by(LabelTable.theory, LabelTable.failure_kind)
        .order_by(func.count().desc())
    )
    rows = connection.execute(query).all()
    ids = [row[3] for row in rows]
    named = select(LabelTable.id, LabelTable.failure_reason)
    reasons = {
        row[0]: row[1] or ""
        for row in connection.execute(named.where(LabelTable.id.in_(ids)))
    }
    return [FailureCount(r[0], r[1] or "", r[2], reasons[r[3]]) for r in rows]


def label_pace(connection: Connection, theory: str, hours: float = 1.0) -> LabelPace:
    """Return how many labels of a theory were finished lately."""
    since = database_time(connection) - 3600 * hours
    query = select(func.count(), func.sum(LabelTable.core_seconds)).where(
        LabelTable.theory == theory, LabelTable.finished_at > since
    )
    number, seconds = connection.execute(query).one()
    return LabelPace(number, seconds or 0.0)


def label_history(connection: Connection, campaign: str) -> list[tuple[float, float]]:
    """Return (finished at, core-seconds) of a campaign's finished labels, in order.

    Labels of other theory levels on the same structures count where they were
    finished after the campaign's first step.
    """
    chosen = select(SelectionMember.structure).where(
        SelectionMember.campaign == campaign
    )
    began = select(func.min(UsageTable.finished_at - UsageTable.wall_s)).where(
        UsageTable.campaign == campaign
    )
    query = (
        select(LabelTable.finished_at, LabelTable.core_seconds)
        .where(
            LabelTable.structure.in_(chosen),
            LabelTable.state == LabelState.DONE.value,
            LabelTable.finished_at.is_not(None),
            LabelTable.finished_at >= began.scalar_subquery(),
        )
        .order_by(LabelTable.finished_at)
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def _of_any_theory() -> Any:
    """Return what is always true, and lets the index of theory and state be used."""
    return LabelTable.theory.in_(select(TheoryRow.fingerprint))
