"""Isolated atoms, whose energies are the zero of a potential's energy scale.

An atom is labelled as any other structure, at the theory level with what an open shell
needs, where the labeller can be told so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ase import Atoms
from ase.data import atomic_numbers

from fire_core.labelling.labeller import labeller_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fire_core.config.theory import TheoryConfig

BOX: Final = (12.0, 12.4, 12.8)
"""Edges of the periodic cell, Å; unequal, as an open shell breaks the symmetry. In
GFN1-xTB the images lower Li by 2 and Na by 14 meV, in a cell of 10 Å by 19 and 108."""


def isolated_atom(symbol: str) -> Atoms:
    """Return an atom in the middle of its cell.

    Raises
    ------
    KeyError
        There is no such element.
    """
    middle = [edge / 2 for edge in BOX]
    return Atoms([atomic_numbers[symbol]], positions=[middle], cell=BOX, pbc=True)


def atom_theory(theory: TheoryConfig) -> TheoryConfig:
    """Return the level at which the atoms of a theory level are labelled.

    Only of density-functional programs it is another one.
    """
    level: TheoryConfig = labeller_of(theory).for_isolated_atom(theory)
    return level


def isolated_atoms(symbols: Iterable[str]) -> dict[str, Atoms]:
    """Return the atom of each element, in the order of their symbols."""
    return {symbol: isolated_atom(symbol) for symbol in sorted(set(symbols))}
