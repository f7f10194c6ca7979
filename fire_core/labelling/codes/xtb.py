"""GFN-xTB by tblite: energy, forces and stress of a periodic cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import chemical_symbols

from fire_core.records import Label

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from fire_core.config.theory import XtbTheory

ELEMENTS: Final = frozenset(chemical_symbols[1:87])
"""GFN1-xTB and GFN2-xTB are parametrised for H to Rn (Grimme et al., J. Chem.
Theory Comput. 13 (2017) 1989; Bannwarth et al., ibid. 15 (2019) 1652)."""


def compute(theory: XtbTheory, atoms: Atoms) -> Label:
    """Return the label of one structure; Γ point only, as tblite does.

    Raises
    ------
    Exception
        Whatever tblite raises, for `labelling.triage` to read.
    """
    work = atoms.copy()
    work.calc = _calculator(theory)
    energy = float(work.get_potential_energy())
    forces = np.array(work.get_forces(), dtype=np.float64)
    stress = None
    if work.pbc.all():
        stress = np.array(work.get_stress(voigt=True), dtype=np.float64)
    return Label(energy, forces, stress)


def _calculator(theory: XtbTheory) -> Calculator:
    from tblite.ase import TBLite

    return TBLite(
        method=theory.method,
        accuracy=theory.accuracy,
        electronic_temperature=theory.electronic_temperature,
        max_iterations=theory.max_iterations,
        verbosity=0,
    )
