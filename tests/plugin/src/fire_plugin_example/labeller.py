"""A Morse potential as a labeller."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from fire_core.config.base import Positive, TheorySettings
from fire_core.labelling.labeller import Labeller
from fire_core.labelling.theory import Theory, make_theory
from fire_core.records import FailureKind, Label

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from fire_core.labelling.program import Resources


class MorseTheory(TheorySettings):
    """A Morse potential, the same for every pair of atoms."""

    kind: Literal["morse"] = "morse"
    depth: Positive = 0.2
    """Depth of the well, eV."""
    distance: Positive = 2.6
    """Bottom of the well, Å."""


class MorseLabeller(Labeller[MorseTheory]):
    """ASE's Morse potential in this process."""

    settings = MorseTheory
    causes: ClassVar = ((FailureKind.BAD_GEOMETRY, "nobody is near"),)

    def identify(self, theory: MorseTheory) -> Theory:
        """Return ASE's release and every setting."""
        settings = {"depth": theory.depth, "distance": theory.distance}
        return make_theory("ase/morse", version("ase"), settings)

    def elements(self, _theory: MorseTheory) -> frozenset[str]:
        """Return the elements that it was made for."""
        return frozenset({"Li", "Na", "F", "Cl"})

    def compute(
        self, theory: MorseTheory, atoms: Atoms, _folder: Path, _machine: Resources
    ) -> Label:
        """Return energy, forces and stress."""
        from ase.calculators.morse import MorsePotential

        work = atoms.copy()
        work.calc = MorsePotential(epsilon=theory.depth, r0=theory.distance)
        forces = np.array(work.get_forces(), dtype=np.float64)
        if not forces.any() and len(atoms) < 2:
            msg = "nobody is near"
            raise ValueError(msg)
        stress = work.get_stress() if work.pbc.all() else None
        return Label(float(work.get_potential_energy()), forces, stress)


LABELLER = MorseLabeller()
