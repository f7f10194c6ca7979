"""Which models are used: promotion through gates, its history, and the way back."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select, update

from fire_core.errors import GateError, StoreError
from fire_core.storage.tables import CampaignTable, ModelTable, PromotionTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from fire_core.records import GateResult
    from fire_core.storage.blobs import BlobStore

STATES: Final = ("candidate", "staging", "production", "retired")
CANDIDATE, STAGING, PRODUCTION, RETIRED = STATES


FROM: Final = {
    STAGING: (CANDIDATE, RETIRED),
    PRODUCTION: (CANDIDATE, STAGING, RETIRED),
}
"""States that a promotion may lead to, and where from."""


PROMOTE: Final = "promote"


RETIRE: Final = "retire"


ROLLBACK: Final = "rollback"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who changes a model's state, and why; kept in the history."""

    actor: str = ""
    reason: str = ""


UNSIGNED: Final = Signature()


@dataclass(frozen=True, slots=True)
class PromotionRow:
    """One change of a model's state.

    Attributes
    ----------
    model
        Name of the model.
    action
        `promote`, `retire` (made way for another) or `rollback`.
    from_state, to_state
        Before and after.
    gates_json
        Gate results that a promotion stood on, as JSON; None otherwise.
    actor, reason
        Who did it and why.
    at
        Seconds since 1970.
    """

    model: str
    action: str
    from_state: str
    to_state: str
    gates_json: str | None
    actor: str
    reason: str
    at: float


def refuse_target(to: str) -> None:
    """Raise a StoreError for a state that no promotion leads to."""
    if to not in FROM:
        msg = f"expected a promotion to {' or '.join(FROM)}, got {to!r}"
        raise StoreError(msg)


def refuse_ungated(
    name: str, to: str, results: Sequence[GateResult], required: Sequence[str]
) -> None:
    """Raise a GateError where a required gate is missing or failed."""
    counts = Counter(result.name for result in results)
    doubled = [gate for gate, number in counts.items() if number > 1]
    if doubled:
        msg = f"more than one result for the gate(s) {', '.join(sorted(doubled))}"
        raise GateError(msg)
    lines = [f"  - {g}: not measured" for g in required if g not in counts]
    lines += [
        f"  - {r.name}: {r.text}"
        for r in results
        if r.name in required and not r.passed
    ]
    if lines:
        msg = (
            f"{name!r} is not promoted to {to}: {len(lines)} of {len(required)} "
            "required gates are not passed:\n"
            + "\n".join(lines)
            + "\ntrain a better model, or change `evaluate.gates` in the campaign file "
            "and run the campaign again, which changes the gates and nothing else"
        )
        raise GateError(msg)


def promote_model(
    connection: Connection,
    campaign: str,
    name: str,
    to: str,
    signed: Signature,
    gates_json: str,
) -> None:
    """Move a model up; one that leaves production for it is retired."""
    states = _lock(connection, campaign)
    if states[name] not in FROM[to]:
        msg = (
            f"{name!r} of {campaign!r} is in {states[name]}; {to} is reached "
            f"from {', '.join(FROM[to])}"
        )
        if states[name] == PRODUCTION != to:
            msg += f"; take it back with `fire model rollback {campaign}`"
        raise StoreError(msg)
    if to == PRODUCTION:
        for other in _in_production(states):
            why = replace(signed, reason=f"{name} took its place")
            row = _row(other, RETIRE, RETIRED, why)
            _move(connection, campaign, row, states)
    row = _row(name, PROMOTE, to, signed, gates_json)
    _move(connection, campaign, row, states)


def restore_model(
    connection: Connection, campaign: str, signed: Signature, blobs: BlobStore
) -> str:
    """Put the production model of before back, if its file is sound."""
    states = _lock(connection, campaign)
    served = _served(list_promotions(connection, campaign))
    if not _in_production(states):
        msg = (
            f"campaign {campaign!r} has no model in production to roll back "
            "from; `fire model list` shows their states"
        )
        raise StoreError(msg)
    if len(served) < 2:
        msg = (
            f"nothing was in production before {served[-1]!r} in campaign "
            f"{campaign!r}; promote another model with `fire model promote "
            f"{campaign} NAME --to production`"
        )
        raise StoreError(msg)
    previous = served[-2]
    sha = connection.scalar(
        select(ModelTable.blob_sha).where(
            ModelTable.campaign == campaign, ModelTable.name == previous
        )
    )
    blobs.path(str(sha))
    for other in _in_production(states):
        row = _row(other, ROLLBACK, RETIRED, signed)
        _move(connection, campaign, row, states)
    row = _row(previous, ROLLBACK, PRODUCTION, signed)
    _move(connection, campaign, row, states)
    return previous


def list_promotions(connection: Connection, campaign: str) -> list[PromotionRow]:
    """Return every change of state of a campaign's models, oldest first."""
    query = (
        select(
            PromotionTable.model,
            PromotionTable.action,
            PromotionTable.from_state,
            PromotionTable.to_state,
            PromotionTable.gates_json,
            PromotionTable.actor,
            PromotionTable.reason,
            PromotionTable.at,
        )
        .where(PromotionTable.campaign == campaign)
        .order_by(PromotionTable.id)
    )
    return [PromotionRow(*row) for row in connection.execute(query)]


def _lock(connection: Connection, campaign: str) -> dict[str, str]:
    """Lock the campaign's row for this transaction; return its models' states.

    SQLite holds the whole database for writing and ignores FOR UPDATE.
    """
    connection.execute(
        select(CampaignTable.name)
        .where(CampaignTable.name == campaign)
        .with_for_update()
    )
    query = select(ModelTable.name, ModelTable.state).where(
        ModelTable.campaign == campaign
    )
    return {row.name: row.state for row in connection.execute(query)}


def _in_production(states: dict[str, str]) -> list[str]:
    return [name for name, state in states.items() if state == PRODUCTION]


def _served(history: Sequence[PromotionRow]) -> list[str]:
    """Return the production models that a rollback can go back through, in order."""
    served: list[str] = []
    for row in history:
        if row.to_state == PRODUCTION and row.action == PROMOTE:
            served.append(row.model)
        elif row.to_state == PRODUCTION and row.action == ROLLBACK:
            served.pop()
    return served


def _row(
    model: str,
    action: str,
    to: str,
    signed: Signature,
    gates_json: str | None = None,
) -> PromotionRow:
    """Return a row whose state before is still to be filled in."""
    return PromotionRow(
        model, action, "", to, gates_json, signed.actor, signed.reason, time.time()
    )


def _move(
    connection: Connection, campaign: str, row: PromotionRow, states: dict[str, str]
) -> None:
    """Write a model's new state and the history's row of it."""
    connection.execute(
        update(ModelTable)
        .where(ModelTable.campaign == campaign, ModelTable.name == row.model)
        .values(state=row.to_state)
    )
    connection.execute(
        insert(PromotionTable).values(
            **asdict(row) | {"campaign": campaign, "from_state": states[row.model]}
        )
    )
    states[row.model] = row.to_state
