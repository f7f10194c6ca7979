"""Meshes of k-points by their spacing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms


def monkhorst_pack(atoms: Atoms, spacing: float) -> tuple[int, int, int]:
    """Return the divisions of the mesh whose points are at most `spacing` apart.

    Parameters
    ----------
    atoms
        With a cell, Å; along a direction that is not periodic one point is enough.
    spacing
        1/Å, the factor 2π included: n = ceil(|b| / spacing), as VASP's KSPACING.
    """
    lengths = 2 * np.pi * np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    mesh = [
        max(1, math.ceil(length / spacing - 1e-9)) if periodic else 1
        for length, periodic in zip(lengths, atoms.pbc, strict=True)
    ]
    return mesh[0], mesh[1], mesh[2]
