"""Read labels: finished ones with their numbers, any with what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import func, select

from fire_core.records import Label, LabelledStructure, LabelState
from fire_core.storage.engine import reading
from fire_core.storage.structures import StructureTables, chunked
from fire_core.storage.tables import LabelTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What is known about a label, without its arrays.

    Times are seconds since 1970; `core_seconds` adds up all attempts.
    """

    key: str
    theory: str
    state: LabelState
    attempts: int
    owner: str | None
    lease_until: float | None
    core_seconds: float
    finished_at: float | None
    kind: str | None
    reason: str | None
    log_tail: str | None


def _unpack_label(row: Any) -> Label:
    forces = np.frombuffer(row.forces, "<f8").reshape(-1, 3).astype(np.float64)
    stress = None
    if row.stress is not None:
        stress = np.frombuffer(row.stress, "<f8").astype(np.float64)
    return Label(row.energy, forces, stress)


class LabelQueries(StructureTables):
    """Reading of labels; a part of `Store`."""

    engine: Engine

    def get_labels(self, keys: Sequence[str], theory: str) -> dict[str, Label]:
        """Return the finished labels among the keys."""
        labels: dict[str, Label] = {}
        with reading(self.engine) as connection:
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
                for row in connection.execute(query):
                    labels[row.structure] = _unpack_label(row)
        return labels

    def get_labelled(self, keys: Sequence[str], theory: str) -> list[LabelledStructure]:
        """Return structures with finished labels, in the order of the keys."""
        labels = self.get_labels(keys, theory)
        done = [key for key in keys if key in labels]
        return [
            LabelledStructure(key, atoms, labels[key], theory)
            for key, atoms in zip(done, self.get_structures(done), strict=True)
        ]

    def list_labelled_keys(self, theory: str) -> list[str]:
        """Return the keys of all finished labels of a theory, oldest first."""
        with reading(self.engine) as connection:
            query = (
                select(LabelTable.structure)
                .where(
                    LabelTable.theory == theory,
                    LabelTable.state == LabelState.DONE.value,
                )
                .order_by(LabelTable.id)
            )
            return list(connection.scalars(query))

    def label_counts(
        self, theory: str | None = None, keys: Sequence[str] | None = None
    ) -> dict[LabelState, int]:
        """Count labels by state, of one theory or all, of some structures or all."""
        counts: dict[LabelState, int] = {}
        parts = [None] if keys is None else list(chunked(list(dict.fromkeys(keys))))
        with reading(self.engine) as connection:
            for part in parts:
                query = select(LabelTable.state, func.count()).group_by(
                    LabelTable.state
                )
                if theory is not None:
                    query = query.where(LabelTable.theory == theory)
                if part is not None:
                    query = query.where(LabelTable.structure.in_(part))
                for state, number in connection.execute(query):
                    key = LabelState(state)
                    counts[key] = counts.get(key, 0) + number
        return counts

    def label_rows(
        self, theory: str, keys: Sequence[str] | None = None
    ) -> list[LabelRow]:
        """Return what is known about labels, in the order of the keys if given."""
        with reading(self.engine) as connection:
            query = (
                select(LabelTable)
                .where(LabelTable.theory == theory)
                .order_by(LabelTable.id)
            )
            rows = {
                row.structure: LabelRow(
                    row.structure,
                    row.theory,
                    LabelState(row.state),
                    row.attempts,
                    row.owner,
                    row.lease_until,
                    row.core_seconds,
                    row.finished_at,
                    row.failure_kind,
                    row.failure_reason,
                    row.log_tail,
                )
                for row in connection.execute(query)
            }
        if keys is None:
            return list(rows.values())
        return [rows[key] for key in keys if key in rows]
