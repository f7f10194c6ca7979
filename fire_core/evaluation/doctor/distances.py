"""How far apart structures are in the space of their atoms' positions."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.geometry import complete_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SAME: Final = 1e-3
"""Atoms and lattice vectors this near are the same, Å."""


def group_alike(frames: Sequence[Atoms]) -> list[list[int]]:
    """Return indices of frames with one order of species, in order of appearance."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for i, atoms in enumerate(frames):
        groups[atoms.numbers.tobytes() + atoms.pbc.tobytes()].append(i)
    return list(groups.values())


def embed(frames: Sequence[Atoms]) -> Array:
    """Return points, (n, k), whose distances are those of frames, Å per atom.

    For atoms in one order. A fractional coordinate f becomes a point on a circle of
    the lattice vector's circumference, so images of an atom fall on one point, and
    small distances along orthogonal vectors are those of the minimum image. Lattice
    vectors enter as the mean displacement that their change brings to the atoms.
    Distances are root mean squares over the atoms.
    """
    cells = np.array([complete_cell(a.cell.array) for a in frames])
    lengths = np.linalg.norm(cells, axis=2).mean(axis=0)
    n_atoms = len(frames[0])
    rows = []
    for atoms, cell in zip(frames, cells, strict=True):
        fractional = np.linalg.solve(cell.T, atoms.positions.T).T
        angle = 2 * np.pi * fractional[:, atoms.pbc]
        radius = lengths[atoms.pbc] / (2 * np.pi)
        parts = [
            (radius * np.cos(angle)).ravel(),
            (radius * np.sin(angle)).ravel(),
            (fractional[:, ~atoms.pbc] * lengths[~atoms.pbc]).ravel(),
            cell.ravel() * np.sqrt(n_atoms / 12),  # variance of f in [0, 1]: 1/12
        ]
        rows.append(np.concatenate(parts) / np.sqrt(n_atoms))
    return np.array(rows)


def pair_distances(one: Array, other: Array) -> Array:
    """Return the distances of points, (n, k) and (m, k), as (n, m)."""
    centre = one.mean(axis=0)  # subtracting near numbers loses fewer digits
    a, b = one - centre, other - centre
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def is_same_structure(one: Atoms, other: Atoms, tolerance: float = SAME) -> bool:
    """Return whether every atom has one of its species within `tolerance` Å.

    Periodic images and the order of atoms do not matter; the cells must agree.
    """
    if (
        len(one) != len(other)
        or (one.pbc != other.pbc).any()
        or np.abs(one.cell.array - other.cell.array).max() > tolerance
        or (np.sort(one.numbers) != np.sort(other.numbers)).any()
    ):
        return False
    cell = complete_cell(one.cell.array)
    if (one.numbers == other.numbers).all():
        straight = _nearest(one.positions - other.positions, cell, one.pbc)
        if np.linalg.norm(straight, axis=1).max() <= tolerance:
            return True
    for number in np.unique(one.numbers):
        a = one.positions[one.numbers == number]
        b = other.positions[other.numbers == number]
        gap = _nearest(a[:, None] - b[None], cell, one.pbc)
        close = np.linalg.norm(gap, axis=-1) <= tolerance
        if not (close.any(axis=0).all() and close.any(axis=1).all()):
            return False
    return True


def signature(atoms: Atoms) -> Array:
    """Return numbers, (15,), that images and the order of atoms leave alone.

    Two structures that are the same within `SAME` differ by at most 1 in each: sums
    over atoms of Z-weighted cosines and sines of the fractional coordinates, divided
    by what such a displacement can change, and the lattice vectors over `SAME`.
    """
    cell = complete_cell(atoms.cell.array)
    angle = 2 * np.pi * np.linalg.solve(cell.T, atoms.positions.T).T
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    # an angle changes by at most 2π (SAME + strain of the whole cell) / height
    reach = 2 * np.pi * 4 * SAME / heights
    sums = [atoms.numbers @ np.cos(angle), atoms.numbers @ np.sin(angle)]
    scaled = np.array(sums) / (atoms.numbers.sum() * reach)
    return np.concatenate([scaled.ravel(), (cell / SAME).ravel()])


def _nearest(vectors: Array, cell: Array, pbc: NDArray[np.bool_]) -> Array:
    """Return vectors less the lattice vectors nearest in fractional coordinates."""
    fractional = np.linalg.solve(cell.T, vectors.reshape(-1, 3).T).T
    fractional[:, pbc] -= np.round(fractional[:, pbc])
    return np.asarray((fractional @ cell).reshape(vectors.shape))
