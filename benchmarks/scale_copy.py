"""PostgreSQL's COPY for `benchmarks.scale`: what a store could be filled with at best.

FIRE itself does not use it: COPY takes no "unless it is there already".
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fire_core.storage.structure_rows import name_atoms
from fire_core.structures.content import pack, structure_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ase import Atoms

    from fire_core.storage.store import Store

STRUCTURE = {
    "key": "varchar",
    "formula": "varchar",
    "elements": "varchar",
    "n_atoms": "int4",
    "numbers": "bytea",
    "positions": "bytea",
    "cell": "bytea",
    "pbc": "bytea",
    "source": "varchar",
    "created_at": "float8",
}
FRAME = {
    "run": "int4",
    "replica": "int4",
    "step": "int4",
    "segment": "int4",
    "structure": "varchar",
    "temperature": "float8",
    "energy": "float8",
}


def copy_structures(store: Store, frames: Sequence[Atoms], source: str) -> list[str]:
    """Copy structures that are all new, in one transaction; return their keys."""
    keys = [structure_key(atoms) for atoms in frames]
    now = time.time()
    rows = []
    for key, atoms in zip(keys, frames, strict=True):
        packed = pack(atoms)
        about = (key, *name_atoms(packed.numbers), packed.n_atoms)
        arrays = (packed.numbers, packed.positions, packed.cell, packed.pbc)
        rows.append((*about, *arrays, source, now))
    copy_rows(store, "structure", STRUCTURE, rows)
    return keys


def copy_frames(store: Store, run_id: int, keys: Sequence[str]) -> None:
    """Copy the frames of one MD run."""
    rows = [
        (run_id, i % 8, i // 8, i // 500, key, 600.0, -1.0)
        for i, key in enumerate(keys)
    ]
    copy_rows(store, "md_frame", FRAME, rows)


def copy_rows(
    store: Store, table: str, columns: dict[str, str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Copy rows into a table in binary form."""
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    with store.engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(list(columns.values()))
            for row in rows:
                copy.write_row(row)
