"""All that a store knows of one structure: where from, what for, what became."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy import func, select

from fire_core.errors import StoreError
from fire_core.records import Pick
from fire_core.storage.label_queries import FACTS, LabelRow, unpack_row
from fire_core.storage.tables import (
    DatasetMember,
    FrameTable,
    LabelTable,
    ModelTable,
    PropertyTable,
    RunTable,
    SelectionMember,
    SelectionTable,
    StructureRow,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.records import StructureKey


@dataclass(frozen=True, slots=True)
class StructureLine:
    """A structure without its arrays; the time is since 1970, s."""

    key: StructureKey
    formula: str
    elements: str
    n_atoms: int
    source: str
    created_at: float


@dataclass(frozen=True, slots=True)
class FrameUse:
    """A frame of a run that is the structure: temperature in K, energy in eV.

    `model` is the sha256 of the file that drove the run; `model_name` what the
    campaign calls it, None for one that is not the campaign's own.
    """

    campaign: str
    round: int
    purpose: str
    model: str
    replica: int
    step: int
    temperature: float
    energy: float
    run: int
    model_name: str | None


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
class LabelNumbers:
    """What a label measured; None until it is done.

    Attributes
    ----------
    energy
        eV.
    largest_force
        Of an atom, eV/Å.
    pressure
        GPa, positive where the cell would grow; None without a stress, too.
    """

    energy: float | None
    largest_force: float | None
    pressure: float | None


@dataclass(frozen=True, slots=True)
class Member:
    """A data set that the structure is in, and its part of it."""

    campaign: str
    dataset: str
    split: str


@dataclass(frozen=True, slots=True)
class PropertyUse:
    """A property that was measured on the structure; the time is since 1970, s."""

    key: str
    name: str
    kind: str
    subject: str
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class StructureDetails:
    """All that a store knows of one structure; `numbers` are by theory.

    Lists of uses end after as many as were asked for.
    """

    line: StructureLine
    frames: list[FrameUse]
    choices: list[Chosen]
    labels: list[LabelRow]
    numbers: dict[str, LabelNumbers]
    members: list[Member]
    properties: list[PropertyUse]


LINE: Final = (
    StructureRow.key,
    StructureRow.formula,
    StructureRow.elements,
    StructureRow.n_atoms,
    StructureRow.source,
    StructureRow.created_at,
)


AFTER_HEX: Final = "g"
"""Follows every hexadecimal digit in any database's order of letters."""


GPA_PER_EV_A3: Final = 160.21766208


def describe_structure(
    connection: Connection, key: str, most: int = 20
) -> StructureDetails:
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
    line = _one(connection, key)
    labels, numbers = _labels(connection, line.key)
    return StructureDetails(
        line,
        _frames(connection, line.key, most),
        _choices(connection, line.key, most),
        labels,
        numbers,
        _members(connection, line.key, most),
        _properties(connection, line.key, most),
    )


def find_key(connection: Connection, start: str) -> str:
    """Return the one key that begins so.

    Raises
    ------
    StoreError
        There is none, or more than one begins like that.
    """
    return _one(connection, start).key


def _one(connection: Connection, key: str) -> StructureLine:
    query = select(*LINE).where(
        StructureRow.key >= key, StructureRow.key < key + AFTER_HEX
    )
    rows = connection.execute(query.order_by(StructureRow.key).limit(2)).all()
    if not rows:
        msg = f"no structure {key!r} in this store"
        raise StoreError(msg)
    if len(rows) > 1:
        msg = f"more than one structure begins with {key!r}; give more of its key"
        raise StoreError(msg)
    return StructureLine(*rows[0])


def _frames(connection: Connection, key: str, most: int) -> list[FrameUse]:
    # Two models of a campaign may be one file; the run names it once.
    name = (
        select(func.min(ModelTable.name))
        .where(
            ModelTable.campaign == RunTable.campaign,
            ModelTable.blob_sha == RunTable.model,
        )
        .scalar_subquery()
    )
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
            RunTable.id,
            name,
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
        Chosen(
            c, round_, purpose, rank, method, Pick(**json.loads(why)) if why else None
        )
        for c, round_, purpose, rank, method, why in connection.execute(
            query.limit(most)
        )
    ]


def _labels(
    connection: Connection, key: str
) -> tuple[list[LabelRow], dict[str, LabelNumbers]]:
    columns = (LabelTable.energy, LabelTable.forces, LabelTable.stress)
    query = select(*columns, *FACTS).where(LabelTable.structure == key)
    found = connection.execute(query.order_by(LabelTable.id)).all()
    rows = [unpack_row(row[3:]) for row in found]
    numbers = [LabelNumbers(r[0], _largest(r[1]), _pressure(r[2])) for r in found]
    return rows, {r.theory: n for r, n in zip(rows, numbers, strict=True)}


def _largest(forces: bytes | None) -> float | None:
    if forces is None:
        return None
    vectors = np.frombuffer(forces, "<f8").reshape(-1, 3)
    return float(np.max(np.linalg.norm(vectors, axis=1), initial=0.0))


def _pressure(stress: bytes | None) -> float | None:
    if stress is None:
        return None
    return float(-np.mean(np.frombuffer(stress, "<f8")[:3]) * GPA_PER_EV_A3)


def _members(connection: Connection, key: str, most: int) -> list[Member]:
    query = (
        select(DatasetMember.campaign, DatasetMember.dataset, DatasetMember.split)
        .where(DatasetMember.structure == key)
        .order_by(DatasetMember.campaign, DatasetMember.dataset)
    )
    return [Member(*row) for row in connection.execute(query.limit(most))]


def _properties(connection: Connection, key: str, most: int) -> list[PropertyUse]:
    columns: tuple[Any, ...] = (
        PropertyTable.key,
        PropertyTable.name,
        PropertyTable.kind,
        PropertyTable.subject,
        PropertyTable.finished_at,
    )
    query = (
        select(*columns)
        .where(PropertyTable.structure == key)
        .order_by(PropertyTable.created_at.desc(), PropertyTable.key)
    )
    return [PropertyUse(*row) for row in connection.execute(query.limit(most))]
