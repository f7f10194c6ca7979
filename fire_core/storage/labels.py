"""Labels: asked for, brought from elsewhere, claimed, tried again, read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from fire_core.records import Label, LabelState
from fire_core.storage.claims import (
    ClaimRequest,
    claim_labels,
    fail_label,
    finish_label,
    finish_labels,
    pack_label,
    release_labels,
    renew_leases,
)
from fire_core.storage.dialects import database_time, insert_missing, lock
from fire_core.storage.label_progress import (
    browse_labels,
    failure_counts,
    label_history,
    label_pace,
    label_workers,
)
from fire_core.storage.label_queries import (
    failed_labels,
    get_labelled,
    get_labels,
    has_claimed,
    label_costs,
    label_counts,
    label_rows,
    label_spending,
    list_labelled_keys,
    newest_labels,
)
from fire_core.storage.structure_rows import chunked
from fire_core.storage.tables import LabelTable
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from fire_core.storage.claims import Claim, ExpiredLeases, LeaseTerms
    from fire_core.storage.selections import LabelScope
    from fire_core.storage.transaction import Database


def want_labels(connection: Connection, keys: Sequence[str], theory: str) -> int:
    """Request labels; return how many were not known in any state."""
    rows = [
        {"structure": key, "theory": theory, "state": LabelState.WANTED.value}
        for key in dict.fromkeys(keys)
    ]
    lock(connection, _queue(theory))
    known = _known(connection, keys, theory)
    fresh = [row for row in rows if row["structure"] not in known]
    return insert_missing(connection, LabelTable, fresh)


def add_labels(
    connection: Connection, labels: dict[str, Label], theory: str
) -> tuple[list[str], list[str]]:
    """Keep labels computed elsewhere; return (new keys, keys known as done).

    A label that is done stays as it is. One that is wanted, claimed or failed
    becomes done.
    """
    lock(connection, _queue(theory))
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


def retry_labels(connection: Connection, theory: str, kind: str | None = None) -> int:
    """Make failed labels wanted again, all or of one kind; return how many."""
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


@dataclass(frozen=True)
class Labels:
    """Labels in every state."""

    database: Database

    want = writing(want_labels)
    add = writing(add_labels)
    retry = writing(retry_labels)
    renew = writing(renew_leases)
    release = writing(release_labels)
    finish = writing(finish_label)
    finish_many = writing(finish_labels)
    fail = writing(fail_label)
    get = reading(get_labels)
    labelled = reading(get_labelled)
    labelled_keys = reading(list_labelled_keys)
    newest = reading(newest_labels)
    counts = reading(label_counts)
    rows = reading(label_rows)
    has_claimed = reading(has_claimed)
    costs = reading(label_costs)
    spending = reading(label_spending)
    failed = reading(failed_labels)
    browse = reading(browse_labels)
    workers = reading(label_workers)
    failure_counts = reading(failure_counts)
    pace = reading(label_pace)
    history = reading(label_history)
    _claim = writing(claim_labels)

    def claim(
        self,
        theory: str,
        owner: str,
        *,
        terms: LeaseTerms,
        limit: int = 1,
        choice: LabelScope | None = None,
        expired: ExpiredLeases | None = None,
    ) -> list[Claim]:
        """Take up to `limit` labels that nobody is working on, oldest first.

        Of a choice those are taken that were chosen first. A label is free when it is
        wanted, or claimed by a worker whose lease has run out. One that was claimed
        `max_attempts` times without an end fails as `too_many_attempts` instead.

        Parameters
        ----------
        theory
            Fingerprint.
        owner
            Name of the worker; unique among workers.
        terms
            Of the lease.
        limit
            Most claims to take.
        choice
            Only labels of these structures; None: any.
        expired
            Kept by the caller between calls, so that a claim is not taken from a
            worker that could not renew; None: take expired claims at once.
        """
        request = ClaimRequest(owner, terms, limit, choice, expired)
        return self._claim(theory, request)
