"""Labels: asked for, brought from elsewhere, tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from fire_core.records import Label, LabelState
from fire_core.storage.claims import ClaimTables, pack_label
from fire_core.storage.engine import database_time, insert_missing, writing
from fire_core.storage.structures import chunked
from fire_core.storage.tables import LabelTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine


class LabelTables(ClaimTables):
    """Labels; a part of `Store`."""

    engine: Engine

    def want_labels(self, keys: Sequence[str], theory: str) -> int:
        """Ask for labels; return how many were not known in any state."""
        rows = [
            {"structure": key, "theory": theory, "state": LabelState.WANTED.value}
            for key in dict.fromkeys(keys)
        ]
        with writing(self.engine, _queue(theory)) as connection:
            known = _known(connection, keys, theory)
            fresh = [row for row in rows if row["structure"] not in known]
            return insert_missing(connection, LabelTable, fresh)

    def add_labels(
        self, labels: dict[str, Label], theory: str
    ) -> tuple[list[str], list[str]]:
        """Keep labels computed elsewhere; return (new keys, keys known as done).

        A label that is done stays as it is. One that is wanted, claimed or failed
        becomes done.
        """
        with writing(self.engine, _queue(theory)) as connection:
            known = _known(connection, list(labels), theory)
            done = {k for k in labels if known.get(k) == LabelState.DONE}
            settled = {
                "state": LabelState.DONE.value,
                "owner": None,
                "lease_until": None,
                "finished_at": database_time(connection),
            }
            where = {"theory": theory}
            rows: dict[str, dict[str, Any]] = {
                key: {"structure": key, **where, **pack_label(label), **settled}
                for key, label in labels.items()
                if key not in done
            }
            insert_missing(
                connection, LabelTable, [r for k, r in rows.items() if k not in known]
            )
            for key in rows.keys() & known.keys():
                connection.execute(
                    update(LabelTable)
                    .where(
                        LabelTable.structure == key,
                        LabelTable.theory == theory,
                        LabelTable.state != LabelState.DONE.value,
                    )
                    .values(rows[key])
                )
            return list(rows), [key for key in labels if key in done]

    def retry_labels(self, theory: str, kind: str | None = None) -> int:
        """Make failed labels wanted again, all or of one kind; return how many."""
        with writing(self.engine) as connection:
            where = [
                LabelTable.theory == theory,
                LabelTable.state == LabelState.FAILED.value,
            ]
            if kind is not None:
                where.append(LabelTable.failure_kind == kind)
            changed = connection.execute(
                update(LabelTable)
                .where(*where)
                .values(state=LabelState.WANTED.value, attempts=0)
            )
            return int(changed.rowcount)


def _queue(theory: str) -> str:
    """Return the lock of those who add labels of a theory, so that ids keep order."""
    return f"labels of {theory}"


def _known(
    connection: Connection, keys: Sequence[str], theory: str
) -> dict[str, LabelState]:
    known: dict[str, LabelState] = {}
    for part in chunked(list(dict.fromkeys(keys))):
        query = select(LabelTable.structure, LabelTable.state).where(
            LabelTable.theory == theory, LabelTable.structure.in_(part)
        )
        known |= {row[0]: LabelState(row[1]) for row in connection.execute(query)}
    return known
