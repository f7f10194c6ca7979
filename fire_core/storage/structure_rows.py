"""Structures as rows of the database."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.symbols import Symbols
from sqlalchemy import select

from fire_core.storage.dialects import insert_missing
from fire_core.storage.tables import StructureRow
from fire_core.structures.content import pack, structure_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms
    from sqlalchemy import Connection


CHUNK = 400  # keys in one IN (…): SQLite allows 32,766, PostgreSQL more


PACKED: Final = (
    StructureRow.numbers,
    StructureRow.positions,
    StructureRow.cell,
    StructureRow.pbc,
    StructureRow.n_atoms,
)
"""Columns that hold a structure, in the order of `PackedStructure`."""


def chunked(keys: Sequence[str]) -> Iterator[list[str]]:
    """Yield the keys in lists short enough for one statement."""
    for start in range(0, len(keys), CHUNK):
        yield list(keys[start : start + CHUNK])


def insert_structures(
    connection: Connection, frames: Sequence[Atoms], source: str
) -> list[str]:
    """Insert what is not there yet within an open transaction; return all keys."""
    keys = [structure_key(atoms) for atoms in frames]
    present: set[str] = set()
    for part in chunked(keys):
        query = select(StructureRow.key).where(StructureRow.key.in_(part))
        present |= set(connection.scalars(query))
    fresh = {k: a for k, a in zip(keys, frames, strict=True) if k not in present}
    now = time.time()
    rows = [_row(key, fresh[key], source, now) for key in sorted(fresh)]
    insert_missing(connection, StructureRow, rows)
    return keys


@lru_cache(maxsize=256)  # frames of a trajectory share it, and it costs 0.1 ms
def name_atoms(numbers: bytes) -> tuple[str, str]:
    """Return (formula, elements) of packed atomic numbers."""
    symbols = Symbols(np.frombuffer(numbers, "<i8"))
    return symbols.get_chemical_formula(), "-".join(sorted(set(symbols)))


def _row(key: str, atoms: Atoms, source: str, now: float) -> dict[str, Any]:
    packed = pack(atoms)
    formula, elements = name_atoms(packed.numbers)
    return {
        "key": key,
        "formula": formula,
        "elements": elements,
        "n_atoms": packed.n_atoms,
        "numbers": packed.numbers,
        "positions": packed.positions,
        "cell": packed.cell,
        "pbc": packed.pbc,
        "source": source[:255],
        "created_at": now,
    }
