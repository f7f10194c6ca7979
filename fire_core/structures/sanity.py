"""Find what is unphysical about a structure before it costs anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import covalent_radii

from fire_core.records import Problem
from fire_core.structures.contacts import is_too_close

if TYPE_CHECKING:
    from collections.abc import Collection

    from ase import Atoms

FEW_ATOMS: Final = 1000
"""Up to here all pairs are looked at faster than a neighbour list is made."""


def min_distance_ratio(atoms: Atoms, limit: float = 1.5) -> float:
    """Return the smallest d / (r_i + r_j) over all pairs, periodic images included.

    Parameters
    ----------
    atoms
        The structure.
    limit
        Pairs farther apart than this are not looked at.

    Returns
    -------
    float
        The ratio to the sum of covalent radii (Cordero 2008, as ASE has them);
        infinity when no pair is within `limit`.
    """
    radii = covalent_radii[atoms.numbers]
    reach = 2.0 * limit * float(radii.max(initial=0.1))
    from ase.neighborlist import neighbor_list  # half a second of imports

    i, j, d = neighbor_list("ijd", atoms, reach)
    if not len(d):
        return float("inf")
    ratio = float(np.min(d / (radii[i] + radii[j])))
    return ratio if ratio <= limit else float("inf")


def find_problems(
    atoms: Atoms,
    *,
    min_distance_factor: float = 0.5,
    known_elements: Collection[str] | None = None,
) -> list[Problem]:
    """Return everything that makes a structure unfit for a label; empty when fit.

    Parameters
    ----------
    atoms
        The structure.
    min_distance_factor
        Atoms closer than this fraction of their covalent contact overlap.
    known_elements
        Elements that the labeller or model knows; None: all.
    """
    if len(atoms) == 0:
        return [Problem("empty", "the structure has no atoms")]
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return [Problem("not_finite", "positions or cell hold NaN or infinity")]
    problems = []
    if atoms.pbc.any() and abs(np.linalg.det(atoms.cell.complete().array)) < 1e-6:
        return [Problem("no_volume", "a periodic structure needs a cell with a volume")]
    if atoms.pbc.any() and not all(atoms.cell.lengths()[atoms.pbc] > 0):
        return [Problem("no_volume", "a periodic direction has no lattice vector")]
    if known_elements is not None:
        unknown = sorted(set(atoms.get_chemical_symbols()) - set(known_elements))
        if unknown:
            known = sorted(known_elements)
            shown = ", ".join(known) if len(known) <= 30 else f"{len(known)} elements"
            detail = f"{', '.join(unknown)} is not among what is known: {shown}"
            problems.append(Problem("unknown_element", detail))
    return problems + _find_overlap(atoms, min_distance_factor)


def _find_overlap(atoms: Atoms, factor: float) -> list[Problem]:
    if len(atoms) <= FEW_ATOMS and not is_too_close(
        atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, factor=factor
    ):
        return []
    ratio = min_distance_ratio(atoms, limit=max(1.5, factor))
    if ratio >= factor:
        return []
    detail = (
        f"two atoms are at {ratio:.2f} of the sum of their covalent radii, expected at "
        f"least {factor:.2f}"
    )
    return [Problem("overlap", detail)]
