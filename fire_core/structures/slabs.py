"""Cut a stoichiometric slab with the smallest surface cell out of a crystal."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_INDEX = 4  # lattice vectors are searched up to this multiple
TOLERANCE = 1e-4


def cut_slab(crystal: Atoms, miller: Sequence[int], layers: int) -> Atoms:
    """Return `layers` repeats of the crystal's primitive layer parallel to a plane.

    Parameters
    ----------
    crystal
        Conventional cell.
    miller
        Plane in the conventional cell's indices.
    layers
        Repeats; each holds one primitive cell of atoms, so the slab keeps the
        crystal's composition. The cut is where two planes of atoms are farthest
        apart.

    Returns
    -------
    Atoms
        In-plane vectors in the xy plane, the first along x; z upwards from 0; the
        third vector is vertical, as long as the slab's lattice planes are thick.

    Raises
    ------
    StructureError
        The plane is (0 0 0), or too steep for the search.
    """
    if not any(miller):
        msg = f"miller must name a plane, got {list(miller)}"
        raise StructureError(msg)
    primitive = _primitive(crystal)
    normal = np.asarray(miller, float) @ crystal.cell.reciprocal().array
    indices = _integer_direction(primitive.cell.array @ normal)
    vectors = _layer_vectors(primitive.cell.array, indices)
    lattice = _upright(vectors @ primitive.cell.array)
    scaled = primitive.get_scaled_positions() @ np.linalg.inv(vectors)
    scaled[:, 2] = (scaled[:, 2] - _widest_gap(scaled[:, 2])) % 1.0
    scaled[:, 2] = np.where(scaled[:, 2] > 1 - TOLERANCE, 0.0, scaled[:, 2])
    positions = np.concatenate(
        [scaled @ lattice + layer * lattice[2] for layer in range(layers)]
    )
    positions[:, 2] -= positions[:, 2].min()
    cell = lattice.copy()
    cell[2] = [0.0, 0.0, layers * lattice[2, 2]]
    numbers = np.tile(primitive.numbers, layers)
    return Atoms(numbers, positions=positions, cell=cell, pbc=True)


def _primitive(crystal: Atoms) -> Atoms:
    import spglib

    found = spglib.standardize_cell(
        (crystal.cell.array, crystal.get_scaled_positions(), crystal.numbers),
        to_primitive=True,
        no_idealize=True,
        symprec=1e-3,
    )
    if found is None:
        return crystal.copy()
    lattice, scaled, numbers = found
    return Atoms(numbers, scaled_positions=scaled, cell=lattice, pbc=True)


def _integer_direction(values: NDArray[np.float64]) -> tuple[int, int, int]:
    """Return the smallest integers in the ratio of the given numbers."""
    smallest = min(abs(v) for v in values if abs(v) > TOLERANCE)
    for factor in range(1, 13):
        scaled = values / smallest * factor
        whole = np.rint(scaled)
        if np.abs(scaled - whole).max() < 1e-2:
            i, j, k = (int(w) for w in whole)
            divisor = math.gcd(i, j, k)
            return (i // divisor, j // divisor, k // divisor)
    msg = f"no plane of low indices is parallel to {values.tolist()}; choose another"
    raise StructureError(msg)


def _layer_vectors(
    lattice: NDArray[np.float64], indices: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Return integer rows: the two shortest vectors in a plane, one just off it.

    Together they span the lattice and are right-handed.
    """
    steps = range(-MAX_INDEX, MAX_INDEX + 1)
    grid = np.array(list(itertools.product(steps, steps, steps)))
    order = np.argsort(np.linalg.norm(grid @ lattice, axis=1), kind="stable")
    grid = grid[order]
    heights = grid @ np.array(indices)
    in_plane = [v for v in grid[heights == 0] if v.any()]
    off_plane = grid[heights == 1]
    for a, b in itertools.combinations(in_plane[:24], 2):
        if abs(round(float(np.linalg.det([a, b, off_plane[0]])))) == 1:
            vectors = np.array([a, b, off_plane[0]])
            right = np.linalg.det(vectors @ lattice) > 0
            return vectors if right else vectors[[1, 0, 2]]
    msg = f"the plane {list(indices)} is too steep; choose lower Miller indices"
    raise StructureError(msg)


def _upright(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lattice rotated: first vector along x, second in the xy plane."""
    _, upper = np.linalg.qr(lattice.T)
    lower = upper.T
    return np.asarray(lower * np.sign(np.diag(lower)), float)


def _widest_gap(heights: NDArray[np.float64]) -> float:
    """Return the periodic height (0 to 1) in the middle of the widest gap."""
    ordered = np.sort(heights % 1.0)
    gaps = np.diff(np.append(ordered, ordered[0] + 1.0))
    widest = int(np.argmax(np.round(gaps, 6)))
    return float(ordered[widest] + gaps[widest] / 2)
