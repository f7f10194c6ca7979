"""The identity of a structure: canonical bytes and the key hashed from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT: Final = b"fire-structure-1\n"


@dataclass(frozen=True, slots=True)
class PackedStructure:
    """A structure as little-endian bytes, exact to the last bit.

    Attributes
    ----------
    numbers
        Atomic numbers, (n_atoms,) int64.
    positions
        (n_atoms, 3) float64, Å.
    cell
        (3, 3) float64, Å, rows are the lattice vectors.
    pbc
        Three bytes, one for each direction.
    n_atoms
        Number of atoms.
    """

    numbers: bytes
    positions: bytes
    cell: bytes
    pbc: bytes
    n_atoms: int


def pack(atoms: Atoms) -> PackedStructure:
    """Return the structure as bytes; its calculator and info are left behind."""
    return PackedStructure(
        numbers=np.ascontiguousarray(atoms.numbers, "<i8").tobytes(),
        positions=np.ascontiguousarray(atoms.positions, "<f8").tobytes(),
        cell=np.ascontiguousarray(atoms.cell.array, "<f8").tobytes(),
        pbc=np.ascontiguousarray(atoms.pbc, "u1").tobytes(),
        n_atoms=len(atoms),
    )


def unpack(packed: PackedStructure) -> Atoms:
    """Return the structure that was packed, bit for bit."""
    return Atoms(
        numbers=np.frombuffer(packed.numbers, "<i8"),
        positions=np.frombuffer(packed.positions, "<f8").reshape(-1, 3),
        cell=np.frombuffer(packed.cell, "<f8").reshape(3, 3),
        pbc=np.frombuffer(packed.pbc, "u1").astype(bool),
    )


def canonical_bytes(atoms: Atoms) -> bytes:
    """Return the bytes that say which structure this is.

    Species, positions, cell and periodicity in the given order of atoms; a negative
    zero counts as zero. Everything else about the Atoms is ignored.

    Raises
    ------
    StructureError
        A position or lattice vector is not finite.
    """
    parts = [np.ascontiguousarray(atoms.numbers, "<i8").tobytes()]
    for name, array in (("positions", atoms.positions), ("cell", atoms.cell.array)):
        if not np.isfinite(array).all():
            msg = f"{name} must be finite, got NaN or infinity in {atoms.symbols}"
            raise StructureError(msg)
        parts.append(_without_negative_zero(array).tobytes())
    parts.append(np.ascontiguousarray(atoms.pbc, "u1").tobytes())
    return FORMAT + b"".join(len(p).to_bytes(8, "little") + p for p in parts)


def structure_key(atoms: Atoms) -> str:
    """Return the content key: sha256 of the canonical bytes, as 64 hex digits."""
    return hashlib.sha256(canonical_bytes(atoms)).hexdigest()


def _without_negative_zero(array: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ascontiguousarray(array, "<f8") + 0.0
