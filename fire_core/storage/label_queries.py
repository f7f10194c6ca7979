"""Read labels: finished ones with their numbers, any with what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import func, select, union

from fire_core.records import Label, LabelledStructure, LabelState
from fire_core.storage.rebuilding import rebuild
from fire_core.storage.structure_rows import PACKED, chunked
from fire_core.storage.tables import LabelTable, StructureRow
from fire_core.structures.content import PackedStructure

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection

    from fire_core.records import StructureKey, TheoryId
    from fire_core.storage.selections import Choice


@dataclass(frozen=True, slots=True)
class LabelCost:
    """What finished labels of one size took: mean core-seconds over `count`."""

    n_atoms: int
    core_seconds: float
    count: int


@dataclass(frozen=True, slots=True)
class LabelSpending:
    """Labels that were computed, failed ones included, and their core-seconds."""

    labels: int
    core_seconds: float


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What is known about a label, without its arrays.

    Times are seconds since 1970; `core_seconds` adds up all attempts. `workdir` is the
    folder that a failed calculation left on the machine that computed it.
    """

    key: StructureKey
    theory: TheoryId
    state: LabelState
    attempts: int
    owner: str | None
    lease_until: float | None
    core_seconds: float
    finished_at: float | None
    kind: str | None
    reason: str | None
    log_tail: str | None
    workdir: str | None = None


FACTS: Final = (
    LabelTable.structure,
    LabelTable.theory,
    LabelTable.state,
    LabelTable.attempts,
    LabelTable.owner,
    LabelTable.lease_until,
    LabelTable.core_seconds,
    LabelTable.finished_at,
    LabelTable.failure_kind,
    LabelTable.failure_reason,
    LabelTable.log_tail,
    LabelTable.failed_workdir,
)
"""Columns of a label without its arrays, in the order of `LabelRow`."""


def unpack_row(row: Any) -> LabelRow:
    """Return what `FACTS` of a row say."""
    key, theory, state, *rest = row
    return LabelRow(key, theory, LabelState(state), *rest)


def _unpack_label(energy: float, forces: bytes, stress: bytes | None) -> Label:
    return Label(
        energy,
        np.frombuffer(forces, "<f8").astype(np.float64).reshape(-1, 3),
        None if stress is None else np.frombuffer(stress, "<f8").astype(np.float64),
    )


def get_labels(
    connection: Connection, keys: Sequence[str], theory: str
) -> dict[str, Label]:
    """Return the finished labels among the keys."""
    labels: dict[str, Label] = {}
    for part in chunked(list(dict.fromkeys(keys))):
        query = select(
            LabelTable.structure,
            LabelTable.energy,
            LabelTable.forces,
            LabelTable.stress,
        ).where(
            LabelTable.theory == theory,
            LabelTable.state == LabelState.DONE.value,
            LabelTable.structure.in_(part),
        )
        for key, *packed in connection.execute(query).all():
            labels[key] = _unpack_label(*packed)
    return labels


def get_labelled(
    connection: Connection, keys: Sequence[str], theory: str
) -> list[LabelledStructure]:
    """Return structures with finished labels, in the order of the keys."""
    found: dict[str, tuple[PackedStructure, Label]] = {}
    for part in chunked(list(dict.fromkeys(keys))):
        query = (
            select(
                LabelTable.structure,
                LabelTable.energy,
                LabelTable.forces,
                LabelTable.stress,
                *PACKED,
            )
            .join(StructureRow, StructureRow.key == LabelTable.structure)
            .where(
                LabelTable.theory == theory,
                LabelTable.state == LabelState.DONE.value,
                LabelTable.structure.in_(part),
            )
        )
        for key, *row in connection.execute(query).all():
            label = _unpack_label(*row[:3])
            found[key] = (PackedStructure(*row[3:]), label)
    done = [key for key in keys if key in found]
    frames = rebuild(found[key][0] for key in done)
    return [
        LabelledStructure(key, atoms, found[key][1], theory)
        for key, atoms in zip(done, frames, strict=True)
    ]


def list_labelled_keys(connection: Connection, theory: str) -> list[str]:
    """Return the keys of all finished labels of a theory, oldest first."""
    query = (
        select(LabelTable.structure)
        .where(
            LabelTable.theory == theory,
            LabelTable.state == LabelState.DONE.value,
        )
        .order_by(LabelTable.id)
    )
    return list(connection.scalars(query))


def newest_labels(
    connection: Connection,
    theory: str,
    since: float,
    elements: Collection[str],
    most: int,
) -> list[str]:
    """Return the structures of the newest labels, newest first.

    Parameters
    ----------
    theory
        Fingerprint.
    since
        Only labels finished after this time, seconds since 1970.
    elements
        Only structures that hold no other elements.
    most
        How many at most.
    """
    allowed = set(elements)
    kinds = connection.scalars(select(StructureRow.elements).distinct())
    fitting = [kind for kind in kinds if set(kind.split("-")) <= allowed]
    query = (
        select(LabelTable.structure)
        .join(StructureRow, StructureRow.key == LabelTable.structure)
        .where(
            LabelTable.theory == theory,
            LabelTable.state == LabelState.DONE.value,
            LabelTable.finished_at > since,
            StructureRow.elements.in_(fitting),
        )
        .order_by(LabelTable.finished_at.desc(), LabelTable.id)
        .limit(most)
    )
    return list(connection.scalars(query))


def label_counts(
    connection: Connection, theory: str | None = None, choice: Choice | None = None
) -> dict[LabelState, int]:
    """Count labels by state, of one theory or all, of some structures or all."""
    query = select(LabelTable.state, func.count()).group_by(LabelTable.state)
    if theory is not None:
        query = query.where(LabelTable.theory == theory)
    if choice is not None:
        query = query.where(LabelTable.structure.in_(choice.members()))
    return {LabelState(row[0]): row[1] for row in connection.execute(query)}


def label_rows(
    connection: Connection, theory: str, keys: Sequence[str] | None = None
) -> list[LabelRow]:
    """Return what is known about labels, in the order of the keys if given."""
    query = select(*FACTS).where(LabelTable.theory == theory)
    if keys is None:
        found = connection.execute(query.order_by(LabelTable.id))
        return [unpack_row(row) for row in found]
    rows: dict[str, LabelRow] = {}
    for part in chunked(list(dict.fromkeys(keys))):
        some = query.where(LabelTable.structure.in_(part))
        rows |= {r.structure: unpack_row(r) for r in connection.execute(some)}
    return [rows[key] for key in keys if key in rows]


def has_claimed(connection: Connection, owner: str) -> bool:
    """Return whether a worker has or had any label, as far as rows still show."""
    query = select(LabelTable.id).where(LabelTable.owner == owner).limit(1)
    return connection.execute(query).one_or_none() is not None


def label_costs(
    connection: Connection, theory: str, last: int = 2000
) -> list[LabelCost]:
    """Return what the latest labels of a theory took, by size, smallest first."""
    recent = (
        select(LabelTable.structure, LabelTable.core_seconds)
        .where(
            LabelTable.theory == theory,
            LabelTable.state == LabelState.DONE.value,
            LabelTable.core_seconds > 0,  # imported ones cost nothing here
        )
        .order_by(LabelTable.id.desc())
        .limit(last)
        .subquery()
    )
    query = (
        select(StructureRow.n_atoms, func.avg(recent.c.core_seconds), func.count())
        .join(recent, recent.c.structure == StructureRow.key)
        .group_by(StructureRow.n_atoms)
        .order_by(StructureRow.n_atoms)
    )
    return [LabelCost(*row) for row in connection.execute(query)]


def label_spending(
    connection: Connection, theory: str, choices: Sequence[Choice]
) -> LabelSpending:
    """Return the settled labels among some choices, and their core-seconds."""
    keys = union(*(choice.members() for choice in choices)).subquery()
    query = select(func.count(), func.sum(LabelTable.core_seconds)).where(
        LabelTable.theory == theory,
        LabelTable.state.in_([LabelState.DONE.value, LabelState.FAILED.value]),
        LabelTable.structure.in_(select(keys.c.structure)),
    )
    number, seconds = connection.execute(query).one()
    return LabelSpending(number, seconds or 0.0)


def failed_labels(connection: Connection, theory: str) -> list[LabelRow]:
    """Return the failed labels of a theory, oldest first."""
    query = (
        select(*FACTS)
        .where(
            LabelTable.theory == theory,
            LabelTable.state == LabelState.FAILED.value,
        )
        .order_by(LabelTable.id)
    )
    return [unpack_row(row) for row in connection.execute(query)]
