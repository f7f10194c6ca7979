"""Crystal prototypes decorated with any elements, scaled by covalent radii."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal

if TYPE_CHECKING:
    from collections.abc import Mapping

Orbit = tuple[int, float, float, float]

# Space group, cell shape (b/a, c/a, γ in degrees) and orbits; the first number of
# an orbit says which of the elements sits on it.  Standard textbook prototypes
# (Strukturbericht designations in the names).
PROTOTYPES: Final[Mapping[str, tuple[int, tuple[float, float, float], list[Orbit]]]] = {
    "B1-rocksalt": (225, (1, 1, 90), [(0, 0, 0, 0), (1, 0.5, 0.5, 0.5)]),
    "B2-CsCl": (221, (1, 1, 90), [(0, 0, 0, 0), (1, 0.5, 0.5, 0.5)]),
    "B3-zincblende": (216, (1, 1, 90), [(0, 0, 0, 0), (1, 0.25, 0.25, 0.25)]),
    "B8-NiAs": (194, (1, 1.55, 120), [(0, 0, 0, 0), (1, 1 / 3, 2 / 3, 0.25)]),
    "C1-fluorite": (225, (1, 1, 90), [(0, 0, 0, 0), (1, 0.25, 0.25, 0.25)]),
    "C1-antifluorite": (225, (1, 1, 90), [(1, 0, 0, 0), (0, 0.25, 0.25, 0.25)]),
    "C4-rutile": (136, (1, 0.65, 90), [(0, 0, 0, 0), (1, 0.305, 0.305, 0)]),
    "C6-CdI2": (164, (1, 1.6, 120), [(0, 0, 0, 0), (1, 1 / 3, 2 / 3, 0.25)]),
    "C3-Cu2O": (224, (1, 1, 90), [(0, 0, 0, 0), (1, 0.25, 0.25, 0.25)]),
    "D0_9-ReO3": (221, (1, 1, 90), [(0, 0, 0, 0), (1, 0.5, 0, 0)]),
    "D0_3-BiF3": (
        225,
        (1, 1, 90),
        [(0, 0, 0, 0), (1, 0.5, 0.5, 0.5), (1, 0.25, 0.25, 0.25)],
    ),
    "L1_2-Cu3Au": (221, (1, 1, 90), [(0, 0, 0, 0), (1, 0, 0.5, 0.5)]),
    "E2_1-perovskite": (
        221,
        (1, 1, 90),
        [(0, 0, 0, 0), (1, 0.5, 0.5, 0.5), (2, 0.5, 0.5, 0)],
    ),
    "antiperovskite": (
        221,
        (1, 1, 90),
        [(2, 0, 0, 0), (1, 0.5, 0.5, 0.5), (0, 0.5, 0.5, 0)],
    ),
    "C1_b-half-Heusler": (
        216,
        (1, 1, 90),
        [(0, 0, 0, 0), (1, 0.5, 0.5, 0.5), (2, 0.25, 0.25, 0.25)],
    ),
    "L2_1-Heusler": (
        225,
        (1, 1, 90),
        [(0, 0, 0, 0), (1, 0.5, 0.5, 0.5), (2, 0.25, 0.25, 0.25)],
    ),
    "E1_1-chalcopyrite": (
        122,
        (1, 2, 90),
        [(0, 0, 0, 0), (1, 0, 0, 0.5), (2, 0.25, 0.25, 0.125)],
    ),
    "F5_1-NaFeO2": (
        166,
        (1, 5.0, 120),
        [(0, 0, 0, 0), (1, 0, 0, 0.5), (2, 0, 0, 0.25)],
    ),
    "elpasolite-K2PtCl6": (
        225,
        (1, 1, 90),
        [(0, 0.25, 0.25, 0.25), (1, 0, 0, 0), (2, 0.24, 0, 0)],
    ),
    "H2_4-sulvanite": (
        215,
        (1, 1, 90),
        [(1, 0, 0, 0), (0, 0.5, 0, 0), (2, 0.235, 0.235, 0.235)],
    ),
    "scheelite-like": (
        121,
        (1, 1.9, 90),
        [(0, 0, 0, 0.5), (1, 0, 0, 0), (2, 0.2, 0.2, 0.13)],
    ),
}

BINARY: Final = tuple(n for n, (_, _, o) in PROTOTYPES.items() if max(o)[0] == 1)
TERNARY: Final = tuple(n for n, (_, _, o) in PROTOTYPES.items() if max(o)[0] == 2)
ELEMENTAL: Final = ("fcc", "bcc", "hcp", "diamond", "sc")


def radius_ratio(atoms: Atoms) -> float:
    """Return the smallest d / (r_i + r_j) over all pairs, covalent radii."""
    radii = covalent_radii[atoms.numbers]
    cutoff = 6.0
    while True:
        i, j, d = neighbor_list("ijd", atoms, cutoff)
        if len(d):
            return float(np.min(d / (radii[i] + radii[j])))
        cutoff *= 2


def scale_to_ratio(atoms: Atoms, ratio: float) -> Atoms:
    """Return a copy scaled so that its closest pair sits at `ratio` of contact."""
    scaled = atoms.copy()
    factor = ratio / radius_ratio(atoms)
    scaled.set_cell(atoms.cell * factor, scale_atoms=True)
    return scaled


def decorate(prototype: str, elements: tuple[str, ...], ratio: float) -> Atoms:
    """Return the primitive cell of a prototype holding the given elements.

    Parameters
    ----------
    prototype
        A name in `PROTOTYPES` or `ELEMENTAL`.
    elements
        One symbol for each of the prototype's kinds of site.
    ratio
        Closest pair distance over the sum of its covalent radii.
    """
    if prototype in ELEMENTAL:
        shape = {"hcp": {"covera": 1.6}}.get(prototype, {})
        atoms = bulk(elements[0], prototype, a=4.0, **shape)
        return scale_to_ratio(atoms, ratio)
    spacegroup, (b, c, gamma), orbits = PROTOTYPES[prototype]
    a = 2.0 * sum(covalent_radii[atomic_numbers[e]] for e in elements)
    atoms = crystal(
        symbols=[elements[o[0]] for o in orbits],
        basis=[o[1:] for o in orbits],
        spacegroup=spacegroup,
        cellpar=[a, b * a, c * a, 90, 90, gamma],
        primitive_cell=True,
    )
    bare = Atoms(atoms.numbers, cell=atoms.cell, pbc=True)
    bare.set_scaled_positions(atoms.get_scaled_positions())
    return scale_to_ratio(bare, ratio)
