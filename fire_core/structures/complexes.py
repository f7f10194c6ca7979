"""Complex ions (PS4, CO3, BO3, …): found, kept whole, counted where they are cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ALL: Final = ("N", "O", "F", "S", "Cl", "Se")
CENTRES: Final = {
    "B": ("H", *_ALL),
    "C": _ALL,
    "N": ("O",),
    "Si": _ALL,
    "P": _ALL,
    "S": ("O", "F"),
    "Ge": _ALL,
    "As": _ALL,
    "Sb": _ALL,
}
"""Centres of complex ions, and the ligands of each."""
REACH: Final = 1.2
"""A centre and a ligand are bonded up to this multiple of their covalent radii."""


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Atoms of a layer, grouped into complex ions and single atoms.

    Attributes
    ----------
    scaled
        (n_atoms, 3), fractional coordinates with each complex ion in one piece.
    of_atom
        (n_atoms,), number of each atom's unit.
    heights
        (n_units,), mean third coordinate.
    formulas
        Of each unit.
    bonds
        (n_bonds, 2), third coordinates of the two ends of each bond of a network that
        runs through the crystal, whose atoms are units of their own.
    """

    scaled: NDArray[np.float64]
    of_atom: NDArray[np.int64]
    heights: NDArray[np.float64]
    formulas: tuple[str, ...]
    bonds: NDArray[np.float64]

    def bonds_across(self, cut: float) -> int:
        """Return how many bonds of networks a plane at this height breaks."""
        if not len(self.bonds):
            return 0
        sides = np.floor(self.bonds - cut)
        return int(np.abs(sides[:, 1] - sides[:, 0]).sum())


def find_units(layer: Atoms) -> Units:
    """Group the atoms of a periodic cell.

    A centre and a ligand of `CENTRES` are bonded within 1.2 times the sum of their
    covalent radii (Cordero et al., Dalton Trans. 2008, 2832). Groups that repeat
    without end, such as a borate network, are no complex ions; their atoms stand
    alone.
    """
    bonds = _bonds(layer)
    scaled = layer.get_scaled_positions(wrap=False)
    of_atom = np.full(len(layer), -1)
    formulas: list[str] = []
    network: list[int] = []
    for start in range(len(layer)):
        if of_atom[start] >= 0:
            continue
        shifts, endless = _walk(start, bonds)
        members = list(shifts)
        if endless:
            network += members
        groups = [[m] for m in members] if endless else [members]
        for group in groups:
            of_atom[group] = len(formulas)
            formulas.append(Atoms(layer.numbers[group]).get_chemical_formula("reduce"))
        if not endless:
            scaled[members] += np.array([shifts[m] for m in members])
    heights = np.bincount(of_atom, scaled[:, 2]) / np.bincount(of_atom)
    ends = [
        (scaled[i, 2], scaled[j, 2] + shift[2])
        for i in network
        for j, shift in bonds[i]
        if i < j or (i == j and shift > (0, 0, 0))
    ]
    return Units(scaled, of_atom, heights, tuple(formulas), np.array(ends))


Shift = tuple[int, int, int]


def _bonds(layer: Atoms) -> list[list[tuple[int, Shift]]]:
    radii = REACH * covalent_radii[layer.numbers]
    symbols = layer.get_chemical_symbols()
    found: list[list[tuple[int, Shift]]] = [[] for _ in symbols]
    first, second, cells = neighbor_list("ijS", layer, radii)
    for i, j, cell in zip(first.tolist(), second.tolist(), cells.tolist(), strict=True):
        if _is_complex(symbols[i], symbols[j]) or _is_complex(symbols[j], symbols[i]):
            found[i].append((j, (cell[0], cell[1], cell[2])))
    return found


def _is_complex(centre: str, ligand: str) -> bool:
    return ligand in CENTRES.get(centre, ())


def _walk(
    start: int, bonds: list[list[tuple[int, Shift]]]
) -> tuple[dict[int, Shift], bool]:
    """Return the atoms bonded to one, each with its cell, and whether they repeat."""
    seen: dict[int, Shift] = {start: (0, 0, 0)}
    waiting = [start]
    endless = False
    while waiting:
        here = waiting.pop()
        for there, step in bonds[here]:
            a, b = seen[here], step
            cell = (a[0] + b[0], a[1] + b[1], a[2] + b[2])
            if there not in seen:
                seen[there] = cell
                waiting.append(there)
            elif seen[there] != cell:
                endless = True
    return seen, endless
