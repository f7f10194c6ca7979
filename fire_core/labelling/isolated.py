"""Isolated atoms, whose energies are the zero of a potential's energy scale.

An atom is labelled as any other structure, at the theory level with what an open shell
needs: both spins, the moment of Hund's rules, fixed occupations (a smeared p shell
oscillates between its orbitals), the Γ point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols, ground_state_magnetic_moments

from fire_core.config.dft import DftTheory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fire_core.config.theory import TheoryConfig

BOX: Final = (12.0, 12.4, 12.8)
"""Edges of the periodic cell, Å; unequal, as an open shell breaks the symmetry. In
GFN1-xTB the images lower Li by 2 and Na by 14 meV, in a cell of 10 Å by 19 and 108."""
GAMMA: Final = 1.0  # 1/Å, wider than 2π over any edge
LOOSER: Final = 100.0
"""An energy is of second order in what is left of an SCF, and an atom has no forces."""
HUND: Final = {
    symbol: float(moment)
    for symbol, moment in zip(
        chemical_symbols, ground_state_magnetic_moments, strict=False
    )
    if moment > 0
}


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

    Only of density-functional codes it is another one.
    """
    if not isinstance(theory, DftTheory):
        return theory
    moments = HUND | theory.initial_moments
    fields = theory.model_dump()
    changes = {
        "scf_tolerance": LOOSER * fields["scf_tolerance"],
        "k_spacing": GAMMA,
        "electronic_temperature": 0.0,
        "spin_polarised": True,
        "initial_moments": moments,
    }
    return type(theory).model_validate(fields | changes)


def isolated_atoms(symbols: Iterable[str]) -> dict[str, Atoms]:
    """Return the atom of each element, in the order of their symbols."""
    return {symbol: isolated_atom(symbol) for symbol in sorted(set(symbols))}
