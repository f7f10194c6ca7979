"""Find structures by what they are, and say all that a store knows of one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from fire_core.errors import StoreError
from fire_core.records import Pick
from fire_core.storage.engine import reading
from fire_core.storage.label_queries import FACTS, LabelRow, unpack_row
from fire_core.storage.tables import (
    DatasetMember,
    FrameTable,
    LabelTable,
    RunTable,
    SelectionMember,
    SelectionTable,
    StructureRow,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


@dataclass(frozen=True, slots=True)
class StructureFilter:
    """What is looked for; None and empty: anything.

    Attributes
    ----------
    formula
        As stored, such as `Cl4Li4`.
    elements
        All of these, and perhaps others.
    least, most
        Atoms.
    campaign
        Chosen by this campaign.
    state, theory
        With a label in this state, of this theory level.
    """

    formula: str | None = None
    elements: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    campaign: str | None = None
    state: str | None = None
    theory: str | None = None


@dataclass(frozen=True, slots=True)
class StructureLine:
    """A structure without its arrays; the time is since 1970, s."""

    key: str
    formula: str
    elements: str
    n_atoms: int
    source: str
    created_at: float


@dataclass(frozen=True, slots=True)
class FrameUse:
    """A frame of a run that is the structure: temperature in K, energy in eV."""

    campaign: str
    round: int
    purpose: str
    model: str
    replica: int
    step: int
    temperature: float
    energy: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice that the structure is in; `pick` says why, where that was kept."""

    campaign: str
    round: int
    purpose: str
    rank: int
    method: str
    pick: Pick | None


@dataclass(frozen=True, slots=True)
class Member:
    """A data set that the structure is in, and its part of it."""

    campaign: str
    dataset: str
    split: str


@dataclass(frozen=True, slots=True)
class StructureStory:
    """All that a store knows of one structure."""

    line: StructureLine
    frames: list[FrameUse]
    choices: list[Chosen]
    labels: list[LabelRow]
    members: list[Member]


LINE = (
    StructureRow.key,
    StructureRow.formula,
    StructureRow.elements,
    StructureRow.n_atoms,
    StructureRow.source,
    StructureRow.created_at,
)


class StructureBrowsing:
    """Pages of structures; a part of `Store`."""

    engine: Engine

    def find_structures(
        self,
        wanted: StructureFilter,
        *,
        after: tuple[float, str] | None = None,
        most: int = 50,
    ) -> list[StructureLine]:
        """Return a page of structures, newest first.

        Parameters
        ----------
        wanted
            What is looked for.
        after
            `created_at` and `key` of the last structure of the page before.
        most
            Structures on a page.
        """
        with reading(self.engine) as connection:
            query = _narrow(connection, wanted)
            if after is not None:
                time, key = after
                query = query.where(
                    (StructureRow.created_at < time)
                    | ((StructureRow.created_at == time) & (StructureRow.key < key))
                )
            query = query.order_by(
                StructureRow.created_at.desc(), StructureRow.key.desc()
            )
            rows = connection.execute(query.limit(most))
            return [StructureLine(*row) for row in rows]

    def list_formulas(self) -> list[str]:
        """Return the formulas of all structures, in alphabetical order."""
        query = select(StructureRow.formula).distinct().order_by(StructureRow.formula)
        with reading(self.engine) as connection:
            return list(connection.scalars(query))

    def tell_structure(self, key: str, most: int = 20) -> StructureStory:
        """Return where a structure came from and what became of it.

        Parameters
        ----------
        key
            Its key, or the beginning of it, as `list` commands print it.
        most
            How many uses of each kind.

        Raises
        ------
        StoreError
            There is none, or more than one begins like that.
        """
        with reading(self.engine) as connection:
            line = _one(connection, key)
            return StructureStory(
                line,
                _frames(connection, line.key, most),
                _choices(connection, line.key, most),
                _labels(connection, line.key),
                _members(connection, line.key, most),
            )


def _narrow(connection: Connection, wanted: StructureFilter) -> Any:
    """Return the query of the structures that are looked for."""
    query = select(*LINE)
    if wanted.formula is not None:
        query = query.where(StructureRow.formula == wanted.formula)
    if wanted.elements:
        # The index of elements is read instead of the rows, which hold arrays.
        needed = set(wanted.elements)
        kinds = connection.scalars(select(StructureRow.elements).distinct())
        fitting = [kind for kind in kinds if needed <= set(kind.split("-"))]
        query = query.where(StructureRow.elements.in_(fitting))
    if wanted.least is not None:
        query = query.where(StructureRow.n_atoms >= wanted.least)
    if wanted.most is not None:
        query = query.where(StructureRow.n_atoms <= wanted.most)
    if wanted.campaign is not None:
        chosen = select(SelectionMember.structure).where(
            SelectionMember.campaign == wanted.campaign
        )
        query = query.where(StructureRow.key.in_(chosen))
    return query.where(*_labelled(wanted))


def _labelled(wanted: StructureFilter) -> list[Any]:
    """Return the condition on labels; none where any will do."""
    which = []
    if wanted.theory is not None:
        which.append(LabelTable.theory == wanted.theory)
    if wanted.state is not None:
        which.append(LabelTable.state == wanted.state)
    if not which:
        return []
    return [StructureRow.key.in_(select(LabelTable.structure).where(*which))]


def _one(connection: Connection, key: str) -> StructureLine:
    query = select(*LINE).where(StructureRow.key >= key, StructureRow.key <= key + "~")
    rows = connection.execute(query.order_by(StructureRow.key).limit(2)).all()
    if not rows:
        msg = f"no structure {key!r} in this store"
        raise StoreError(msg)
    if len(rows) > 1:
        msg = f"more than one structure begins with {key!r}; give more of its key"
        raise StoreError(msg)
    return StructureLine(*rows[0])


def _frames(connection: Connection, key: str, most: int) -> list[FrameUse]:
    query = (
        select(
            RunTable.campaign,
            RunTable.round,
            RunTable.purpose,
            RunTable.model,
            FrameTable.replica,
            FrameTable.step,
            FrameTable.temperature,
            FrameTable.energy,
        )
        .join(RunTable, RunTable.id == FrameTable.run)
        .where(FrameTable.structure == key)
        .order_by(FrameTable.run, FrameTable.replica, FrameTable.step)
    )
    return [FrameUse(*row) for row in connection.execute(query.limit(most))]


def _choices(connection: Connection, key: str, most: int) -> list[Chosen]:
    query = (
        select(
            SelectionMember.campaign,
            SelectionMember.round,
            SelectionMember.purpose,
            SelectionMember.rank,
            SelectionTable.method,
            SelectionMember.pick_json,
        )
        .join(
            SelectionTable,
            (SelectionTable.campaign == SelectionMember.campaign)
            & (SelectionTable.round == SelectionMember.round)
            & (SelectionTable.purpose == SelectionMember.purpose),
        )
        .where(SelectionMember.structure == key)
        .order_by(SelectionMember.campaign, SelectionMember.round)
    )
    return [
        Chosen(*row[:5], pick=Pick(**json.loads(row[5])) if row[5] else None)
        for row in connection.execute(query.limit(most))
    ]


def _labels(connection: Connection, key: str) -> list[LabelRow]:
    query = select(*FACTS).where(LabelTable.structure == key).order_by(LabelTable.id)
    return [unpack_row(row) for row in connection.execute(query)]


def _members(connection: Connection, key: str, most: int) -> list[Member]:
    query = (
        select(DatasetMember.campaign, DatasetMember.dataset, DatasetMember.split)
        .where(DatasetMember.structure == key)
        .order_by(DatasetMember.campaign, DatasetMember.dataset)
    )
    return [Member(*row) for row in connection.execute(query.limit(most))]
