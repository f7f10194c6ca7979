"""Point group of a crystal, in Cartesian axes, and its standard orientation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class PointSymmetry:
    """Symmetry of a crystal without its translations.

    Attributes
    ----------
    number
        Of the space group in the International Tables.
    symbol
        Hermann-Mauguin symbol of the space group.
    rotations
        (n, 3, 3), proper and improper, acting on Cartesian column vectors of the
        structure as it is given.
    to_standard
        (3, 3), rotation from the given axes to those of the conventional cell that
        spglib standardises: a along x, b in the xy plane. The identity for triclinic
        crystals, whose conventional cell is a matter of a table.
    """

    number: int
    symbol: str
    rotations: NDArray[np.float64]
    to_standard: NDArray[np.float64]


def find_point_symmetry(atoms: Atoms, tolerance: float) -> PointSymmetry:
    """Find the symmetry of a periodic structure with spglib.

    Parameters
    ----------
    atoms
        Any cell of the crystal, primitive or not.
    tolerance
        Å within which atoms count as equivalent.

    Raises
    ------
    StructureError
        spglib finds no symmetry at all, not even the identity.
    """
    import spglib

    cell = atoms.cell.array
    found = spglib.get_symmetry_dataset(
        (cell, atoms.get_scaled_positions(), atoms.numbers), symprec=tolerance
    )
    if found is None:
        msg = (
            f"spglib finds no space group of {atoms.get_chemical_formula()} within "
            f"{tolerance:g} Å; take another tolerance, or look for atoms on top of "
            "each other (`fire system show`)"
        )
        raise StructureError(msg)
    unique = np.unique(found.rotations, axis=0)
    inverse = np.linalg.inv(cell.T)
    turned = np.array([_orthogonal(cell.T @ w @ inverse) for w in unique])
    to_standard = np.eye(3)
    if found.number > 2:
        to_standard = np.array(found.std_rotation_matrix, np.float64)
    return PointSymmetry(int(found.number), found.international, turned, to_standard)


def _orthogonal(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the orthogonal matrix nearest to one that is so within a tolerance."""
    left, _, right = np.linalg.svd(matrix)
    nearest: NDArray[np.float64] = left @ right
    return nearest
