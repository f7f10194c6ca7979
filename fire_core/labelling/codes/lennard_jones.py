"""Labels from a Lennard-Jones potential: milliseconds each, to rehearse a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import chemical_symbols

from fire_core.records import Label

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.config.theory import LennardJonesTheory

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
