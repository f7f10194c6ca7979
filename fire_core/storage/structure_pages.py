"""Find structures by what they are: pages of them, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from fire_core.storage.structure_details import LINE, StructureLine
from fire_core.storage.tables import LabelTable, SelectionMember, StructureRow

if TYPE_CHECKING:
    from sqlalchemy import Connection


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


def find_structures(
    connection: Connection,
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
    query = _narrow(connection, wanted)
    if after is not None:
        time, key = after
        query = query.where(
            (StructureRow.created_at < time)
            | ((StructureRow.created_at == time) & (StructureRow.key < key))
        )
    newest = (StructureRow.created_at.desc(), StructureRow.key.desc())
    keys = query.order_by(*newest).limit(most).subquery()
    # The page's keys come from indexes alone, and then its few rows.
    page = select(*LINE).where(StructureRow.key.in_(select(keys.c.key)))
    rows = connection.execute(page.order_by(*newest))
    return [StructureLine(*row) for row in rows]


def list_formulas(connection: Connection, most: int = 500) -> list[str]:
    """Return the first formulas of all structures, in alphabetical order."""
    query = select(StructureRow.formula).distinct().order_by(StructureRow.formula)
    query = query.limit(most)
    return list(connection.scalars(query))


def _narrow(connection: Connection, wanted: StructureFilter) -> Any:
    """Return the query of the keys that are looked for."""
    query = select(StructureRow.key)
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
    # Structures are gone through newest first until a page is full; gathering all
    # that have such a label took 50 times as long where most of them have one.
    of_it = LabelTable.structure == StructureRow.key
    return [select(LabelTable.id).where(of_it, *which).exists()]
