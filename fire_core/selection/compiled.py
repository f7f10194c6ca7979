"""Functions compiled by numba, and the frame that they read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numba
import numpy as np
from ase.geometry import complete_cell

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

F = TypeVar("F")


def jit(function: F) -> F:
    """Compile for use without Python's lock; keep the code on disk where one can."""
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": True,
    }
    try:
        compiled: F = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor a home can be written
        compiled = numba.njit(**options)(function)
    return compiled


class AtomPositions(NamedTuple):
    """Where the atoms of a frame are.

    Attributes
    ----------
    fractional
        (n_atoms, 3), positions in units of the cell's vectors.
    cell
        (3, 3), rows are lattice vectors, Å.
    periodic
        (3,), periodic directions.
    shifts
        (n, 3), cells to look at, beyond the nearest image of an atom.
    kinds
        (n_atoms,), number of each atom's species.
    """

    fractional: NDArray[np.float64]
    cell: NDArray[np.float64]
    periodic: NDArray[np.bool_]
    shifts: NDArray[np.float64]
    kinds: NDArray[np.int64]


def place_atoms(atoms: Atoms, kinds: NDArray[np.int64], reach: float) -> AtomPositions:
    """Return a frame as the kernel reads it; neighbours up to `reach` Å."""
    cell = np.ascontiguousarray(complete_cell(atoms.cell.array), np.float64)
    periodic = np.asarray(atoms.pbc, np.bool_)
    return AtomPositions(
        fractional=np.ascontiguousarray(np.linalg.solve(cell.T, atoms.positions.T).T),
        cell=cell,
        periodic=periodic,
        shifts=_list_shifts(cell, periodic, reach),
        kinds=np.ascontiguousarray(kinds, np.int64),
    )


def _list_shifts(
    cell: NDArray[np.float64], periodic: NDArray[np.bool_], reach: float
) -> NDArray[np.float64]:
    """List the cells, (n, 3), in which neighbours can be.

    A fractional difference is within 1/2 after rounding, and a vector d has
    |f_k| ≤ |d| / h_k with the cell's height h_k: beyond reach / h_k + 1/2 there is
    nothing to find.
    """
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    most = np.where(periodic, np.floor(reach / heights + 0.5), 0).astype(int)
    grids = np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij")
    return np.stack(grids, axis=-1).reshape(-1, 3).astype(np.float64)
