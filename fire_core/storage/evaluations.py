"""Evaluations: what was measured, one kind of record each, found by its key.

A kind says how its record is written as JSON and read back. The key of an evaluation is
(campaign, kind, round, subject); the round is 0 and the subject empty where a kind has
one record a campaign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import delete, insert, select

from fire_core.errors import StoreError
from fire_core.storage.campaigns import campaign_lock
from fire_core.storage.dialects import lock
from fire_core.storage.tables import EvaluationTable
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.storage.evaluation_kinds import EvaluationKind
    from fire_core.storage.transaction import Database

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class EvaluationKey:
    """Which evaluation of a campaign."""

    campaign: str
    kind: str
    round: int = 0
    subject: str = ""

    def __str__(self) -> str:
        of = f" of {self.subject!r}" if self.subject else ""
        return f"{self.kind}{of}, round {self.round} of {self.campaign!r}"


@dataclass(frozen=True, slots=True)
class Evaluated(Generic[Value]):
    """An evaluation that was kept."""

    round: int
    subject: str
    value: Value


def write_body(
    connection: Connection, key: EvaluationKey, version: int, body: str
) -> None:
    """Write an evaluation in place of an earlier one."""
    lock(connection, campaign_lock(key.campaign))
    connection.execute(delete(EvaluationTable).where(*_where(key)))
    connection.execute(
        insert(EvaluationTable).values(
            campaign=key.campaign,
            kind=key.kind,
            round=key.round,
            subject=key.subject,
            version=version,
            body_json=body,
        )
    )


def read_body(connection: Connection, key: EvaluationKey) -> tuple[int, str] | None:
    """Return (version, body) of an evaluation, or None where there is none."""
    query = select(EvaluationTable.version, EvaluationTable.body_json)
    row = connection.execute(query.where(*_where(key))).one_or_none()
    return None if row is None else (row[0], row[1])


def read_bodies(
    connection: Connection, campaign: str, kind: str, round_: int | None
) -> list[tuple[EvaluationKey, int, str]]:
    """Return (key, version, body) of evaluations, by round and subject."""
    query = (
        select(
            EvaluationTable.round,
            EvaluationTable.subject,
            EvaluationTable.version,
            EvaluationTable.body_json,
        )
        .where(EvaluationTable.campaign == campaign, EvaluationTable.kind == kind)
        .order_by(EvaluationTable.round, EvaluationTable.subject)
    )
    if round_ is not None:
        query = query.where(EvaluationTable.round == round_)
    return [
        (EvaluationKey(campaign, kind, row[0], row[1]), row[2], row[3])
        for row in connection.execute(query)
    ]


def list_campaigns(connection: Connection, kind: str, subject: str | None) -> set[str]:
    """Return the campaigns that have an evaluation of a kind, of any subject or one."""
    query = select(EvaluationTable.campaign).where(EvaluationTable.kind == kind)
    if subject is not None:
        query = query.where(EvaluationTable.subject == subject)
    return set(connection.scalars(query.distinct()))


def _where(key: EvaluationKey) -> tuple[Any, ...]:
    return (
        EvaluationTable.campaign == key.campaign,
        EvaluationTable.kind == key.kind,
        EvaluationTable.round == key.round,
        EvaluationTable.subject == key.subject,
    )


@dataclass(frozen=True)
class Evaluations:
    """What was measured of models, rounds and studies."""

    database: Database

    _write = writing(write_body)
    _read = reading(read_body)
    _read_all = reading(read_bodies)
    _campaigns = reading(list_campaigns)

    def save(
        self,
        kind: EvaluationKind[Value],
        campaign: str,
        value: Value,
        *,
        round_: int = 0,
        subject: str = "",
    ) -> None:
        """Keep what was measured, replacing an earlier measurement."""
        key = EvaluationKey(campaign, kind.name, round_, subject)
        self._write(key, kind.version, kind.encode(value))

    def get(
        self,
        kind: EvaluationKind[Value],
        campaign: str,
        *,
        round_: int = 0,
        subject: str = "",
    ) -> Value | None:
        """Return a measurement, or None when it was not made yet.

        Raises
        ------
        StoreError
            What was kept is no record of this kind.
        """
        key = EvaluationKey(campaign, kind.name, round_, subject)
        found = self._read(key)
        return None if found is None else _decode(kind, key, *found)

    def campaigns(
        self, kind: EvaluationKind[Value], *, subject: str | None = None
    ) -> set[str]:
        """Return the campaigns that have an evaluation of a kind, of any subject."""
        return self._campaigns(kind.name, subject)

    def list(
        self, kind: EvaluationKind[Value], campaign: str, *, round_: int | None = None
    ) -> list[Evaluated[Value]]:
        """Return a campaign's measurements of a kind, by round and subject.

        Parameters
        ----------
        kind, campaign
            Which.
        round_
            Of this round alone; None: of every round.

        Raises
        ------
        StoreError
            What was kept is no record of this kind.
        """
        return [
            Evaluated(key.round, key.subject, _decode(kind, key, version, body))
            for key, version, body in self._read_all(campaign, kind.name, round_)
        ]


def _decode(
    kind: EvaluationKind[Value], key: EvaluationKey, version: int, body: str
) -> Value:
    try:
        return kind.decode(body, version)
    except ValueError as error:
        msg = (
            f"the evaluation {key} cannot be read as {kind.name}: {error}; it was "
            "written by another FIRE, or by hand"
        )
        raise StoreError(msg) from error
