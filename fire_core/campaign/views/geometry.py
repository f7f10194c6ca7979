"""What the geometry of a structure says at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.neighborlist import neighbor_list

if TYPE_CHECKING:
    from ase import Atoms

CUTOFFS: Final = (1.5, 3.0, 6.0, 12.0)
"""Å; the shortest distance is looked for within the first of these that has any."""
G_PER_CM3: Final = 1.66053906660
"""Density of 1 u/Å³."""


@dataclass(frozen=True, slots=True)
class GeometryFacts:
    """Cell and contacts of a structure.

    Attributes
    ----------
    lengths, angles
        Of the cell, Å and °; None where it has no three vectors.
    volume
        Å³; None as above.
    density
        g/cm³; None as above, or where a direction is not periodic.
    shortest
        Shortest distance between two atoms, Å, periodic images included; None where
        none is within 12 Å.
    pair
        Elements of those two.
    pbc
        Periodic directions.
    """

    lengths: tuple[float, float, float] | None
    angles: tuple[float, float, float] | None
    volume: float | None
    density: float | None
    shortest: float | None
    pair: str
    pbc: tuple[bool, bool, bool]


def describe_geometry(atoms: Atoms) -> GeometryFacts:
    """Measure a structure."""
    has_cell = atoms.cell.rank == 3
    lengths, angles = atoms.cell.lengths(), atoms.cell.angles()
    volume = float(atoms.cell.volume) if has_cell else None
    density = None
    if volume and bool(atoms.pbc.all()):
        density = G_PER_CM3 * float(atoms.get_masses().sum()) / volume
    shortest, pair = _shortest(atoms)
    return GeometryFacts(
        lengths=(lengths[0], lengths[1], lengths[2]) if has_cell else None,
        angles=(angles[0], angles[1], angles[2]) if has_cell else None,
        volume=volume,
        density=density,
        shortest=shortest,
        pair=pair,
        pbc=(bool(atoms.pbc[0]), bool(atoms.pbc[1]), bool(atoms.pbc[2])),
    )


def _shortest(atoms: Atoms) -> tuple[float | None, str]:
    for cutoff in CUTOFFS:
        first, second, distances = neighbor_list("ijd", atoms, cutoff)
        if len(distances):
            nearest = int(np.argmin(distances))
            symbols = atoms.get_chemical_symbols()
            pair = sorted((symbols[first[nearest]], symbols[second[nearest]]))
            return float(distances[nearest]), "–".join(pair)
    return None, ""
