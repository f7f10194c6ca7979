"""Structures and theory levels in the database."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.symbols import Symbols
from sqlalchemy import func, select

from fire_core.errors import StoreError
from fire_core.storage.engine import insert_missing, reading, writing
from fire_core.storage.rebuilding import rebuild
from fire_core.storage.tables import StructureRow, TheoryRow
from fire_core.structures.content import PackedStructure, pack, structure_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms
    from sqlalchemy import Connection, Engine

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


class StructureTables:
    """Structures and theories; a part of `Store`."""

    engine: Engine

    def add_structures(self, frames: Sequence[Atoms], *, source: str) -> list[str]:
        """Keep structures, each once; return their keys in order.

        Parameters
        ----------
        frames
            Calculators, info and extra arrays are left behind.
        source
            Where they came from, for people.
        """
        with writing(self.engine) as connection:
            return insert_structures(connection, frames, source)

    def get_structures(self, keys: Sequence[str]) -> list[Atoms]:
        """Return structures in the order of the keys, bit for bit as added.

        Raises
        ------
        StoreError
            A key is not in the database.
        """
        found: dict[str, PackedStructure] = {}
        with reading(self.engine) as connection:
            for part in chunked(list(dict.fromkeys(keys))):
                query = select(StructureRow.key, *PACKED).where(
                    StructureRow.key.in_(part)
                )
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

    def count_structures(self) -> int:
        """Return how many structures there are."""
        with reading(self.engine) as connection:
            query = select(func.count()).select_from(StructureRow)
            return int(connection.scalar(query) or 0)

    def add_theory(
        self, fingerprint: str, code: str, version: str, settings_json: str
    ) -> None:
        """Enter a theory level; nothing happens when it is known."""
        row = {
            "fingerprint": fingerprint,
            "code": code,
            "version": version,
            "settings_json": settings_json,
        }
        with writing(self.engine) as connection:
            insert_missing(connection, TheoryRow, [row])

    def list_theories(self) -> list[tuple[str, str, str, str]]:
        """Return (fingerprint, code, version, settings JSON) of each theory."""
        with reading(self.engine) as connection:
            rows = connection.execute(
                select(
                    TheoryRow.fingerprint,
                    TheoryRow.code,
                    TheoryRow.version,
                    TheoryRow.settings_json,
                ).order_by(TheoryRow.fingerprint)
            )
            return [(r[0], r[1], r[2], r[3]) for r in rows]
