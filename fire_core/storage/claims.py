"""Claims: who computes which label until when, and the only way to end one.

A claim is a lease on a row. PostgreSQL hands rows out with SKIP LOCKED, so that many
workers claim without waiting for each other; SQLite has one writer at a time. Leases
are timed by the database's clock, so clocks of workers do not matter.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select, update

from fire_core.errors import LeaseLostError, StoreError
from fire_core.records import FailureKind, Label, LabelState
from fire_core.storage.dialects import database_time
from fire_core.storage.tables import LabelTable, SelectionMember

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from fire_core.records import Failure, StructureKey
    from fire_core.storage.selections import Choice


@dataclass(frozen=True, slots=True)
class Claim:
    """A label that a worker may compute until its lease ends."""

    label_id: int
    key: StructureKey
    attempt: int


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How long a claim holds, and how often a label is claimed at most.

    Attributes
    ----------
    lease_s
        Seconds until a claim expires unless renewed.
    max_attempts
        Claims without an end after which a label fails as `too_many_attempts`.
    """

    lease_s: float
    max_attempts: int


@dataclass(slots=True)
class ExpiredLeases:
    """Expired leases that this worker has seen, and since when.

    While the database was away nobody could renew. A worker therefore takes an
    expired claim only once it has seen it expired, unchanged, for `grace_s` seconds:
    a living owner renews within that time.
    """

    grace_s: float
    seen: dict[int, tuple[float, float]] = field(default_factory=dict)

    def observe(self, label_id: int, lease_until: float) -> bool:
        """Note an expired lease; return whether it was seen so for long enough."""
        now = time.monotonic()
        lease, since = self.seen.get(label_id, (None, now))
        if lease != lease_until:
            self.seen[label_id] = (lease_until, now)
            return self.grace_s <= 0
        return now - since >= self.grace_s


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A claimed label that was computed, with the core-seconds it took."""

    label_id: int
    label: Label
    core_seconds: float


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


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What a worker would like to compute; see `Labels.claim`."""

    owner: str
    terms: LeaseTerms
    limit: int = 1
    choice: Choice | None = None
    expired: ExpiredLeases | None = None


def claim_labels(
    connection: Connection, theory: str, request: ClaimRequest
) -> list[Claim]:
    """Take labels that nobody is working on, or those whose lease has run out."""
    terms, limit = request.terms, request.limit
    seen = request.expired or ExpiredLeases(0.0)
    claims: list[Claim] = []
    now = database_time(connection)
    while len(claims) < limit:
        rows = _free_rows(
            connection, theory, request.choice, limit - len(claims), now, seen
        )
        tired = [row.id for row in rows if row.attempts >= terms.max_attempts]
        fresh = [row for row in rows if row.attempts < terms.max_attempts]
        _change(connection, tired, _given_up(terms.max_attempts, now))
        held = {
            "state": LabelState.CLAIMED.value,
            "owner": request.owner,
            "lease_until": now + terms.lease_s,
            "attempts": LabelTable.attempts + 1,
        }
        _change(connection, [row.id for row in fresh], held)
        claims += [Claim(r.id, r.structure, r.attempts + 1) for r in fresh]
        if not tired:
            break
    return claims


def renew_leases(
    connection: Connection, label_ids: Sequence[int], owner: str, lease_s: float
) -> list[int]:
    """Extend claims; return those that are no longer the owner's."""
    now = database_time(connection)
    kept = connection.scalars(
        update(LabelTable)
        .where(_held(label_ids, owner))
        .values(lease_until=now + lease_s)
        .returning(LabelTable.id)
    )
    return sorted(set(label_ids) - set(kept))


def release_labels(connection: Connection, label_ids: Sequence[int], owner: str) -> int:
    """Give back claims that were never begun; return how many were held."""
    changed = connection.execute(
        update(LabelTable)
        .where(_held(label_ids, owner))
        .values(
            state=LabelState.WANTED.value,
            owner=None,
            lease_until=None,
            attempts=LabelTable.attempts - 1,
        )
    )
    return int(changed.rowcount)


def finish_label(
    connection: Connection,
    label_id: int,
    owner: str,
    label: Label,
    *,
    core_seconds: float,
) -> None:
    """Write a claimed label as done; LeaseLostError when it is not the owner's."""
    if finish_labels(connection, [Finished(label_id, label, core_seconds)], owner):
        _explain_loss(connection, label_id, owner)


def finish_labels(
    connection: Connection, finished: Sequence[Finished], owner: str
) -> list[int]:
    """Write claimed labels as done; return those no longer the owner's.

    Writing the same again changes nothing and is no loss, so that a worker may
    repeat a write whose answer it did not get.
    """
    lost: list[int] = []
    now = database_time(connection)
    for item in finished:
        values = pack_label(item.label) | {
            "state": LabelState.DONE.value,
            "failure_kind": None,
            "failure_reason": None,
            "log_tail": None,
        }
        ended = _ended(item.core_seconds, now)
        if _end(connection, item.label_id, owner, values | ended):
            continue
        if not _is_written(connection, item, owner):
            lost.append(item.label_id)
    return lost


def fail_label(
    connection: Connection,
    label_id: int,
    owner: str,
    failure: Failure,
    core_seconds: float,
) -> None:
    """Write a claimed label as failed; LeaseLostError when not the owner's."""
    values = {
        "state": LabelState.FAILED.value,
        "failure_kind": failure.kind.value,
        "failure_reason": failure.reason,
        "log_tail": failure.log_tail,
        "failed_workdir": failure.workdir,
    }
    ended = _ended(core_seconds, database_time(connection))
    if _end(connection, label_id, owner, values | ended):
        return
    written = connection.execute(
        select(LabelTable.id).where(
            LabelTable.id == label_id,
            LabelTable.owner == owner,
            LabelTable.failure_reason == failure.reason,
            LabelTable.state == LabelState.FAILED.value,
        )
    )
    if written.one_or_none() is None:
        _explain_loss(connection, label_id, owner)


def _free_rows(
    connection: Connection,
    theory: str,
    choice: Choice | None,
    limit: int,
    now: float,
    seen: ExpiredLeases,
) -> list[Any]:
    """Return labels that may be claimed, locked until the transaction ends."""
    query = (
        select(
            LabelTable.id,
            LabelTable.structure,
            LabelTable.attempts,
            LabelTable.lease_until,
        )
        .where(LabelTable.theory == theory)
        .with_for_update(skip_locked=True, of=LabelTable)
    )
    wanted = query.where(LabelTable.state == LabelState.WANTED.value).limit(limit)
    if choice is None:
        rows = list(connection.execute(wanted.order_by(LabelTable.id)))
    else:
        # Along the choice's own index, so that the walk ends at the first free ones;
        # sorted by id, every claim would read the whole choice.
        ranked = choice.members().add_columns(SelectionMember.rank).subquery()
        wanted = wanted.join(ranked, ranked.c.structure == LabelTable.structure)
        found = connection.execute(wanted.order_by(ranked.c.rank))
        once = {row.id: row for row in found}  # a structure may be chosen twice
        rows = [once[label_id] for label_id in sorted(once)]
        query = query.where(LabelTable.structure.in_(choice.members()))
    query = query.order_by(LabelTable.id)
    if len(rows) < limit:
        expired = query.where(
            LabelTable.state == LabelState.CLAIMED.value, LabelTable.lease_until < now
        )
        lapsed = [
            row
            for row in connection.execute(expired)
            if seen.observe(row.id, row.lease_until)
        ]
        rows += lapsed[: limit - len(rows)]
    return rows


def _change(
    connection: Connection, label_ids: list[int], values: dict[str, Any]
) -> None:
    """Change rows that this transaction has locked."""
    if label_ids:
        connection.execute(
            update(LabelTable).where(LabelTable.id.in_(label_ids)).values(values)
        )


def _held(label_ids: Sequence[int], owner: str) -> Any:
    return (
        LabelTable.id.in_(label_ids)
        & (LabelTable.owner == owner)
        & (LabelTable.state == LabelState.CLAIMED.value)
    )


def _given_up(attempts: int, now: float) -> dict[str, Any]:
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
        "finished_at": now,
    }


def _ended(core_seconds: float, now: float) -> dict[str, Any]:
    return {
        "lease_until": None,
        "finished_at": now,
        "core_seconds": LabelTable.core_seconds + core_seconds,
    }


def _end(
    connection: Connection, label_id: int, owner: str, values: dict[str, Any]
) -> bool:
    """Change a label only while the owner holds its claim; say whether it did."""
    changed = connection.execute(
        update(LabelTable).where(_held([label_id], owner)).values(values)
    )
    return changed.rowcount == 1


def _is_written(connection: Connection, item: Finished, owner: str) -> bool:
    """Return whether this very label was written by this owner before."""
    row = connection.execute(
        select(
            LabelTable.owner, LabelTable.state, LabelTable.energy, LabelTable.forces
        ).where(LabelTable.id == item.label_id)
    ).one_or_none()
    if row is None or row.owner != owner or row.state != LabelState.DONE.value:
        return False
    packed = pack_label(item.label)
    return bool(row.energy == packed["energy"] and row.forces == packed["forces"])


def _explain_loss(connection: Connection, label_id: int, owner: str) -> None:
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
