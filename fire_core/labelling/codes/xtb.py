"""GFN-xTB by tblite: energy, forces and stress of a periodic cell."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from ase.data import chemical_symbols

from fire_core.config.theory import XtbTheory
from fire_core.labelling.labeller import Labeller
from fire_core.labelling.theory import Theory, make_theory
from fire_core.records import FailureKind, Label

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from fire_core.labelling.program import Resources

ELEMENTS: Final = frozenset(chemical_symbols[1:87])
"""GFN1-xTB and GFN2-xTB are parametrised for H to Rn (Grimme et al., J. Chem.
Theory Comput. 13 (2017) 1989; Bannwarth et al., ibid. 15 (2019) 1652)."""
CAUSES: Final = (
    (FailureKind.NOT_CONVERGED, r"SCF not converged"),
    (FailureKind.UNKNOWN_ELEMENT, r"No support for elements"),
    (FailureKind.BAD_GEOMETRY, r"failed to solve eigenvalue problem|too close"),
)
"""Messages of tblite 0.8, read off real failures."""


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


class XtbLabeller(Labeller[XtbTheory]):
    """tblite in this process."""

    settings = XtbTheory
    causes: ClassVar = CAUSES

    def identify(self, theory: XtbTheory) -> Theory:
        """Return the release of tblite that is installed, and the settings.

        The iteration limit decides whether a label exists, never its value.
        """
        settings = {
            "method": theory.method,
            "accuracy": theory.accuracy,
            "electronic_temperature_k": theory.electronic_temperature,
        }
        return make_theory("tblite", version("tblite"), settings)

    def elements(self, _theory: XtbTheory) -> frozenset[str]:
        """Return the elements that both methods are parametrised for."""
        return ELEMENTS

    def compute(
        self, theory: XtbTheory, atoms: Atoms, _folder: Path, _machine: Resources
    ) -> Label:
        """Return the label of one structure; see `compute`."""
        return compute(theory, atoms)

    def load_libraries(self, _theory: XtbTheory) -> None:
        """Import tblite."""
        import tblite.ase  # noqa: F401


LABELLER: Final = XtbLabeller()
