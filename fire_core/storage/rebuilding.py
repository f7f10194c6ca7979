"""Structures made from stored bytes in a third of the time that ASE's own way takes.

`ase.Atoms(…)` looks at every way in which it can be called, which takes some 40 µs. A
stored structure is known to be whole, so an Atoms is made and filled with its arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms
from ase.cell import Cell

from fire_core.structures.content import PackedStructure, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable

PARTS: Final = frozenset(
    ("_cellobj", "_pbc", "arrays", "_celldisp", "_constraints", "info", "_calc")
)
"""What an Atoms of ASE 3.29 is made of; with other parts ASE's own way is taken."""


def rebuild(rows: Iterable[PackedStructure]) -> list[Atoms]:
    """Return the structures, each with arrays of its own, bit for bit as packed."""
    if Atoms().__dict__.keys() != PARTS:
        return [unpack(row) for row in rows]
    return [_fill(row) for row in rows]


def _fill(row: PackedStructure) -> Atoms:
    positions = np.frombuffer(row.positions, "<f8").astype(np.float64)
    parts: dict[str, Any] = {
        "_cellobj": Cell(
            np.frombuffer(row.cell, "<f8").astype(np.float64).reshape(3, 3)
        ),
        "_pbc": np.frombuffer(row.pbc, "u1").astype(np.bool_),
        "arrays": {
            "numbers": np.frombuffer(row.numbers, "<i8").astype(np.int64),
            "positions": positions.reshape(-1, 3),
        },
        "_celldisp": np.zeros((3, 1)),
        "_constraints": [],
        "info": {},
        "_calc": None,
    }
    atoms = Atoms.__new__(Atoms)
    atoms.__dict__.update(parts)
    return atoms
