"""Labels from a Lennard-Jones potential: milliseconds each, to rehearse a service."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import chemical_symbols

from fire_core.config.theory import LennardJonesTheory
from fire_core.labelling.labeller import Labeller
from fire_core.labelling.theory import Theory, make_theory
from fire_core.records import Label

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from fire_core.labelling.program import Resources

ELEMENTS: Final = frozenset(chemical_symbols[1:])


def compute(theory: LennardJonesTheory, atoms: Atoms) -> Label:
    """Return energy, forces and stress; every pair of atoms is alike."""
    from ase.calculators.lj import LennardJones

    copy = atoms.copy()
    copy.calc = LennardJones(
        epsilon=theory.epsilon, sigma=theory.sigma, rc=theory.cutoff, smooth=True
    )
    stress = copy.get_stress() if copy.pbc.all() else None
    return Label(
        float(copy.get_potential_energy()),
        np.array(copy.get_forces(), dtype=np.float64),
        None if stress is None else np.array(stress, dtype=np.float64),
    )


class LennardJonesLabeller(Labeller[LennardJonesTheory]):
    """ASE's pair potential in this process."""

    settings = LennardJonesTheory

    def identify(self, theory: LennardJonesTheory) -> Theory:
        """Return ASE's release and every setting."""
        settings = theory.model_dump(mode="json", exclude={"kind"})
        return make_theory("ase/lj", version("ase"), settings)

    def elements(self, _theory: LennardJonesTheory) -> frozenset[str]:
        """Return every element."""
        return ELEMENTS

    def compute(
        self,
        theory: LennardJonesTheory,
        atoms: Atoms,
        _folder: Path,
        _machine: Resources,
    ) -> Label:
        """Return the label of one structure; see `compute`."""
        return compute(theory, atoms)

    def load_libraries(self, _theory: LennardJonesTheory) -> None:
        """Import ASE's calculator."""
        import ase.calculators.lj  # noqa: F401


LABELLER: Final = LennardJonesLabeller()
