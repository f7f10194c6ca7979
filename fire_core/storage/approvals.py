"""Approvals: what labels would cost, whether they may be paid for, who said so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, select, update

from fire_core.errors import StoreError
from fire_core.storage.campaigns import campaign_lock
from fire_core.storage.dialects import database_time, insert_missing, lock
from fire_core.storage.tables import ApprovalTable
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.records import ApprovalDecision
    from fire_core.storage.transaction import Database

BUDGET: Final = "budget"
"""The actor that decides what nobody was asked for."""


class ApprovalState(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A request for labels; times are seconds since 1970.

    Attributes
    ----------
    n_asked, n_approved
        Labels asked for, and how many of them, first ones first, may be computed
        (None while pending).
    price_json
        What was shown: the estimate and the oddest structures.
    """

    campaign: str
    round: int
    purpose: str
    state: ApprovalState
    n_asked: int
    n_approved: int | None
    price_json: str
    actor: str | None
    reason: str | None
    asked_at: float
    decided_at: float | None


def ask_approval(
    connection: Connection,
    campaign: str,
    round_: int,
    purpose: str,
    n: int,
    price_json: str,
) -> ApprovalRow:
    """Request labels, or return the request as it was made before.

    What only a budget decided gives way to the question.
    """
    lock(connection, campaign_lock(campaign))
    connection.execute(
        delete(ApprovalTable).where(
            ApprovalTable.campaign == campaign,
            ApprovalTable.round == round_,
            ApprovalTable.purpose == purpose,
            ApprovalTable.actor == BUDGET,
        )
    )
    row = {
        "campaign": campaign,
        "round": round_,
        "purpose": purpose,
        "state": ApprovalState.PENDING.value,
        "n_asked": n,
        "price_json": price_json,
        "asked_at": database_time(connection),
    }
    insert_missing(connection, ApprovalTable, [row])
    return _need(connection, campaign, round_, purpose)


def decide_approval(
    connection: Connection,
    campaign: str,
    round_: int,
    purpose: str,
    decided: ApprovalDecision,
) -> ApprovalRow:
    """Decide a request that is pending; return it.

    Raises
    ------
    StoreError
        There is none, it was decided before, or the number is out of range.
    """
    lock(connection, campaign_lock(campaign))
    row = _need(connection, campaign, round_, purpose)
    if row.state is not ApprovalState.PENDING:
        msg = (
            f"the labels of {purpose!r}, round {round_} of {campaign!r}, were "
            f"{row.state} by {row.actor} ({row.n_approved} of {row.n_asked})"
        )
        raise StoreError(msg)
    n = row.n_asked if decided.n is None else decided.n
    if not 0 <= n <= row.n_asked:
        msg = f"expected 0 to {row.n_asked} labels to approve, got {n}"
        raise StoreError(msg)
    state = ApprovalState.APPROVED if n else ApprovalState.REJECTED
    connection.execute(
        update(ApprovalTable)
        .where(
            ApprovalTable.campaign == campaign,
            ApprovalTable.round == round_,
            ApprovalTable.purpose == purpose,
        )
        .values(
            state=state.value,
            n_approved=n,
            actor=decided.actor,
            reason=decided.reason,
            decided_at=database_time(connection),
        )
    )
    return _need(connection, campaign, round_, purpose)


def limit_labels(
    connection: Connection,
    campaign: str,
    round_: int,
    purpose: str,
    n: int,
    decided: ApprovalDecision,
) -> ApprovalRow:
    """Limit a choice of `n` structures to the first ones that are affordable.

    A limit that the same actor set before is replaced: a budget may grow. What a
    person decided stays.
    """
    state = ApprovalState.APPROVED if decided.n else ApprovalState.REJECTED
    lock(connection, campaign_lock(campaign))
    now = database_time(connection)
    row = {
        "campaign": campaign,
        "round": round_,
        "purpose": purpose,
        "state": state.value,
        "n_asked": n,
        "n_approved": decided.n,
        "price_json": "{}",
        "actor": decided.actor,
        "reason": decided.reason,
        "asked_at": now,
        "decided_at": now,
    }
    connection.execute(
        update(ApprovalTable)
        .where(
            ApprovalTable.campaign == campaign,
            ApprovalTable.round == round_,
            ApprovalTable.purpose == purpose,
            ApprovalTable.actor == decided.actor,
        )
        .values(row)
    )
    insert_missing(connection, ApprovalTable, [row])
    return _need(connection, campaign, round_, purpose)


def get_approval(
    connection: Connection, campaign: str, round_: int, purpose: str
) -> ApprovalRow | None:
    """Return a request, or None where nobody was asked."""
    return _find(connection, campaign, round_, purpose)


def count_approvals(connection: Connection, state: ApprovalState) -> int:
    """Count the requests in a state."""
    query = select(func.count()).where(ApprovalTable.state == state.value)
    return int(connection.execute(query).scalar_one())


def list_approvals(
    connection: Connection, campaign: str | None = None
) -> list[ApprovalRow]:
    """Return every request, of one campaign or all, oldest first."""
    query = select(ApprovalTable.__table__).order_by(ApprovalTable.asked_at)
    if campaign is not None:
        query = query.where(ApprovalTable.campaign == campaign)
    return [_unpack(row._mapping) for row in connection.execute(query)]  # noqa: SLF001


def _find(
    connection: Connection, campaign: str, round_: int, purpose: str
) -> ApprovalRow | None:
    row = (
        connection.execute(
            select(ApprovalTable.__table__).where(
                ApprovalTable.campaign == campaign,
                ApprovalTable.round == round_,
                ApprovalTable.purpose == purpose,
            )
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else _unpack(row)


def _need(
    connection: Connection, campaign: str, round_: int, purpose: str
) -> ApprovalRow:
    row = _find(connection, campaign, round_, purpose)
    if row is None:
        msg = (
            f"nobody asked for the labels of {purpose!r}, round {round_} of "
            f"{campaign!r}; `fire campaign approve {campaign}` shows what is pending"
        )
        raise StoreError(msg)
    return row


def _unpack(row: object) -> ApprovalRow:
    facts = dict(row)  # type: ignore[call-overload]
    return ApprovalRow(**facts | {"state": ApprovalState(facts["state"])})


@dataclass(frozen=True)
class Approvals:
    """Requests for labels, and what was decided."""

    database: Database

    ask = writing(ask_approval)
    decide = writing(decide_approval)
    limit = writing(limit_labels)
    get = reading(get_approval)
    count = reading(count_approvals)
    list = reading(list_approvals)
