"""Labels: wanted, claimed under a lease, then done for good or failed with a reason."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import and_, insert, or_, select, update

from fire_core.errors import LeaseLostError, StoreError
from fire_core.records import (
    Failure,
    FailureKind,
    Label,
    LabelState,
)
from fire_core.storage.engine import writing
from fire_core.storage.label_queries import LabelQueries
from fire_core.storage.structures import chunked
from fire_core.storage.tables import LabelTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine


@dataclass(frozen=True, slots=True)
class Claim:
    """A label that a worker may compute until its lease ends."""

    label_id: int
    key: str
    attempt: int


def pack_label(label: Label) -> dict[str, Any]:
    """Return the columns that hold a label."""
    stress = label.stress
    return {
        "energy": float(label.energy),
        "forces": np.ascontiguousarray(label.forces, "<f8").tobytes(),
        "stress": (
            None if stress is None else np.ascontiguousarray(stress, "<f8").tobytes()
        ),
    }


class LabelTables(LabelQueries):
    """Labels; a part of `Store`."""

    engine: Engine

    def want_labels(self, keys: Sequence[str], theory: str) -> int:
        """Ask for labels; return how many were not known in any state."""
        with writing(self.engine) as connection:
            known = _known(connection, keys, theory)
            fresh = [key for key in dict.fromkeys(keys) if key not in known]
            rows = [
                {"structure": key, "theory": theory, "state": LabelState.WANTED.value}
                for key in fresh
            ]
            if rows:
                connection.execute(insert(LabelTable), rows)
            return len(rows)

    def add_labels(
        self, labels: dict[str, Label], theory: str
    ) -> tuple[list[str], list[str]]:
        """Keep labels computed elsewhere; return (new keys, keys known as done).

        A label that is done stays as it is. One that is wanted, claimed or failed
        becomes done.
        """
        with writing(self.engine) as connection:
            known = _known(connection, list(labels), theory)
            done = [k for k in labels if known.get(k) == LabelState.DONE]
            now = time.time()
            fresh = {k: v for k, v in labels.items() if k not in done}
            for key, label in fresh.items():
                values = {
                    **pack_label(label),
                    "state": LabelState.DONE.value,
                    "owner": None,
                    "lease_until": None,
                    "finished_at": now,
                }
                if key in known:
                    where = and_(
                        LabelTable.structure == key, LabelTable.theory == theory
                    )
                    connection.execute(update(LabelTable).where(where).values(values))
                else:
                    values |= {"structure": key, "theory": theory}
                    connection.execute(insert(LabelTable).values(values))
            return list(fresh), done

    def claim_labels(
        self,
        theory: str,
        owner: str,
        *,
        limit: int,
        lease_s: float,
        max_attempts: int,
        keys: Sequence[str] | None = None,
    ) -> list[Claim]:
        """Take up to `limit` labels that nobody is working on.

        A label is free when it is wanted, or claimed by a worker whose lease has
        run out. One that was claimed `max_attempts` times without an end fails as
        `too_many_attempts` instead.

        Parameters
        ----------
        theory
            Fingerprint.
        owner
            Name of the worker; unique among workers.
        limit
            Most claims to take.
        lease_s
            Seconds until the claim expires unless renewed.
        max_attempts
            Claims after which a label is given up.
        keys
            Only labels of these structures; None: any.
        """
        wanted = None if keys is None else set(keys)
        with writing(self.engine) as connection:
            now = time.time()
            free = _is_free(now)
            query = (
                select(LabelTable.id, LabelTable.structure, LabelTable.attempts)
                .where(LabelTable.theory == theory, free)
                .order_by(LabelTable.id)
            )
            claims: list[Claim] = []
            for row in connection.execute(query).all():
                if wanted is not None and row.structure not in wanted:
                    continue
                if len(claims) == limit:
                    break
                mine = and_(LabelTable.id == row.id, free)
                if row.attempts >= max_attempts:
                    connection.execute(
                        update(LabelTable).where(mine).values(_given_up(row.attempts))
                    )
                    continue
                changed = connection.execute(
                    update(LabelTable)
                    .where(mine)
                    .values(
                        state=LabelState.CLAIMED.value,
                        owner=owner,
                        lease_until=now + lease_s,
                        attempts=row.attempts + 1,
                    )
                )
                if changed.rowcount == 1:
                    claims.append(Claim(row.id, row.structure, row.attempts + 1))
            return claims

    def renew_lease(self, label_ids: Sequence[int], owner: str, lease_s: float) -> None:
        """Extend claims; LeaseLostError when one is no longer the owner's."""
        with writing(self.engine) as connection:
            for label_id in label_ids:
                _fenced(
                    connection, label_id, owner, {"lease_until": time.time() + lease_s}
                )

    def finish_label(
        self, label_id: int, owner: str, label: Label, *, core_seconds: float
    ) -> None:
        """Write a claimed label as done; LeaseLostError when it is not the owner's."""
        with writing(self.engine) as connection:
            values = pack_label(label) | {
                "state": LabelState.DONE.value,
                "failure_kind": None,
                "failure_reason": None,
                "log_tail": None,
            }
            _fenced(connection, label_id, owner, values | _ended(core_seconds))

    def fail_label(
        self, label_id: int, owner: str, failure: Failure, core_seconds: float
    ) -> None:
        """Write a claimed label as failed; LeaseLostError when not the owner's."""
        with writing(self.engine) as connection:
            values = {
                "state": LabelState.FAILED.value,
                "failure_kind": failure.kind.value,
                "failure_reason": failure.reason,
                "log_tail": failure.log_tail,
                "failed_workdir": failure.workdir,
            }
            _fenced(connection, label_id, owner, values | _ended(core_seconds))

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


def _is_free(now: float) -> Any:
    return or_(
        LabelTable.state == LabelState.WANTED.value,
        and_(
            LabelTable.state == LabelState.CLAIMED.value, LabelTable.lease_until < now
        ),
    )


def _given_up(attempts: int) -> dict[str, Any]:
    reason = (
        f"claimed {attempts} times without an end: the process died each time; look "
        "for memory or wall-time limits, then `fire label retry`"
    )
    return {
        "state": LabelState.FAILED.value,
        "failure_kind": FailureKind.TOO_MANY_ATTEMPTS.value,
        "failure_reason": reason,
        "owner": None,
        "lease_until": None,
        "finished_at": time.time(),
    }


def _ended(core_seconds: float) -> dict[str, Any]:
    return {
        "lease_until": None,
        "finished_at": time.time(),
        "core_seconds": LabelTable.core_seconds + core_seconds,
    }


def _fenced(
    connection: Connection, label_id: int, owner: str, values: dict[str, Any]
) -> None:
    """Change a label only while the owner holds its claim."""
    changed = connection.execute(
        update(LabelTable)
        .where(
            LabelTable.id == label_id,
            LabelTable.owner == owner,
            LabelTable.state == LabelState.CLAIMED.value,
        )
        .values(values)
    )
    if changed.rowcount == 1:
        return
    row = connection.execute(
        select(LabelTable.state, LabelTable.owner).where(LabelTable.id == label_id)
    ).one_or_none()
    if row is None:
        msg = f"there is no label {label_id}"
        raise StoreError(msg)
    msg = (
        f"label {label_id} is {row.state} and owned by {row.owner}, no longer by "
        f"{owner}: its lease ran out; this result is discarded"
    )
    raise LeaseLostError(msg)
