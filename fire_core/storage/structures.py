"""Structures, each once under its content key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from fire_core.errors import StoreError
from fire_core.storage.rebuilding import rebuild
from fire_core.storage.structure_details import describe_structure, find_key
from fire_core.storage.structure_pages import find_structures, list_formulas
from fire_core.storage.structure_rows import PACKED, chunked, insert_structures
from fire_core.storage.tables import StructureRow
from fire_core.storage.transaction import reading, writing
from fire_core.structures.content import PackedStructure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from sqlalchemy import Connection

    from fire_core.storage.transaction import Database


def add_structures(
    connection: Connection, frames: Sequence[Atoms], *, source: str
) -> list[str]:
    """Keep structures, each once; return their keys in order.

    Parameters
    ----------
    frames
        Calculators, info and extra arrays are left behind.
    source
        Where they came from, for people.
    """
    return insert_structures(connection, frames, source)


def get_structures(connection: Connection, keys: Sequence[str]) -> list[Atoms]:
    """Return structures in the order of the keys, bit for bit as added.

    Raises
    ------
    StoreError
        A key is not in the database.
    """
    found: dict[str, PackedStructure] = {}
    for part in chunked(list(dict.fromkeys(keys))):
        query = select(StructureRow.key, *PACKED).where(StructureRow.key.in_(part))
        for key, *packed in connection.execute(query).all():
            found[key] = PackedStructure(*packed)
    missing = [key for key in keys if key not in found]
    if missing:
        msg = (
            f"{len(missing)} of {len(keys)} structures are not in the database, "
            f"first {missing[0]}; was another database used?"
        )
        raise StoreError(msg)
    return rebuild(found[key] for key in keys)


def count_structures(connection: Connection) -> int:
    """Return how many structures there are."""
    query = select(func.count()).select_from(StructureRow)
    return int(connection.scalar(query) or 0)


@dataclass(frozen=True)
class Structures:
    """Structures, each once."""

    database: Database

    add = writing(add_structures)
    get = reading(get_structures)
    count = reading(count_structures)
    find = reading(find_structures)
    find_key = reading(find_key)
    describe = reading(describe_structure)
    formulas = reading(list_formulas)
