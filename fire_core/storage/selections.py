"""Selections: choices of structures in order, each made once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from fire_core.errors import StoreError
from fire_core.records import Pick
from fire_core.storage.campaigns import campaign_lock
from fire_core.storage.dialects import lock
from fire_core.storage.tables import SelectionMember, SelectionTable
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.storage.transaction import Database


@dataclass(frozen=True, slots=True)
class SelectionRow:
    """A choice of structures: keys in order, and why each was chosen.

    Attributes
    ----------
    method
        Name of the selector.
    keys
        Chosen structures in order.
    picks
        Why each was chosen, in the same order; empty where there is no why.
    meta_json
        Anything else about the choice.
    """

    method: str
    keys: list[str]
    picks: list[Pick] = field(default_factory=list)
    meta_json: str = "{}"


@dataclass(frozen=True, slots=True)
class ChoiceSize:
    """Structures in a campaign's choice."""

    campaign: str
    round: int
    purpose: str
    size: int


@dataclass(frozen=True, slots=True)
class LabelScope:
    """A stored choice of structures, or its first `first` ones (None: all)."""

    campaign: str
    round: int
    purpose: str
    first: int | None = None

    def members(self) -> Any:
        """Return the SQL query of the chosen structures' keys."""
        query = select(SelectionMember.structure).where(
            SelectionMember.campaign == self.campaign,
            SelectionMember.round == self.round,
            SelectionMember.purpose == self.purpose,
        )
        if self.first is not None:
            query = query.where(SelectionMember.rank < self.first)
        return query


def save_selection(
    connection: Connection,
    campaign: str,
    round_: int,
    purpose: str,
    selection: SelectionRow,
) -> None:
    """Keep a choice of structures; a choice once made is not made again.

    Raises
    ------
    StoreError
        The choice was made before with other structures.
    """
    where = {"campaign": campaign, "round": round_, "purpose": purpose}
    members = [
        where
        | {
            "rank": rank,
            "structure": key,
            "pick_json": (
                json.dumps(asdict(selection.picks[rank])) if selection.picks else None
            ),
        }
        for rank, key in enumerate(selection.keys)
    ]
    lock(connection, campaign_lock(campaign))
    present = _read_selection(connection, campaign, round_, purpose)
    if present is not None:
        if present.keys == selection.keys:
            return
        msg = (
            f"{purpose!r} of round {round_} of {campaign!r} was already chosen "
            f"({len(present.keys)} structures) and is not changed"
        )
        raise StoreError(msg)
    connection.execute(
        insert(SelectionTable).values(
            **where, method=selection.method, meta_json=selection.meta_json
        )
    )
    if members:
        connection.execute(insert(SelectionMember), members)


def get_selection(
    connection: Connection, campaign: str, round_: int, purpose: str
) -> SelectionRow | None:
    """Return a choice of structures, or None when it was not made yet."""
    return _read_selection(connection, campaign, round_, purpose)


def rounds_chosen(connection: Connection, purpose: str) -> list[tuple[str, int]]:
    """Return (campaign, round) of every choice of a purpose, in order."""
    query = (
        select(SelectionTable.campaign, SelectionTable.round)
        .where(SelectionTable.purpose == purpose)
        .order_by(SelectionTable.campaign, SelectionTable.round)
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def choice_sizes(connection: Connection) -> list[ChoiceSize]:
    """Return the choices of all campaigns, by campaign and round."""
    query = (
        select(
            SelectionMember.campaign,
            SelectionMember.round,
            SelectionMember.purpose,
            func.count(),
        )
        .group_by(
            SelectionMember.campaign,
            SelectionMember.round,
            SelectionMember.purpose,
        )
        .order_by(SelectionMember.campaign, SelectionMember.round)
    )
    return [ChoiceSize(*row) for row in connection.execute(query)]


def _read_selection(
    connection: Connection, campaign: str, round_: int, purpose: str
) -> SelectionRow | None:
    head = connection.execute(
        select(SelectionTable.method, SelectionTable.meta_json).where(
            SelectionTable.campaign == campaign,
            SelectionTable.round == round_,
            SelectionTable.purpose == purpose,
        )
    ).one_or_none()
    if head is None:
        return None
    rows = connection.execute(
        select(SelectionMember.structure, SelectionMember.pick_json)
        .where(
            SelectionMember.campaign == campaign,
            SelectionMember.round == round_,
            SelectionMember.purpose == purpose,
        )
        .order_by(SelectionMember.rank)
    ).all()
    picks = [Pick(**json.loads(r.pick_json)) for r in rows if r.pick_json]
    return SelectionRow(
        head.method, [row.structure for row in rows], picks, head.meta_json
    )


@dataclass(frozen=True)
class Selections:
    """Choices of structures."""

    database: Database

    save = writing(save_selection)
    get = reading(get_selection)
    rounds = reading(rounds_chosen)
    sizes = reading(choice_sizes)
