"""A backbone that predicts and does nothing else: Lennard-Jones argon."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ase.calculators.lj import LennardJones

from fire_core.backbones.base import BATCH_ATOMS, refuse_unknown_elements
from fire_core.errors import BackboneError
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms


class ArgonBackbone:
    """Argon's pair potential; the class itself is what the entry point names."""

    name = "argon"
    elements = frozenset({"Ar"})
    cutoff = 6.0
    sha256 = hashlib.sha256(b"argon, 3.4 A, 10.4 meV, 6 A").hexdigest()

    def __init__(self, model: str = "", *, device: str, dtype: str) -> None:
        if model:
            msg = f"argon has one model, not {model!r}; ask for argon"
            raise BackboneError(msg)

    def calculator(self) -> LennardJones:
        return LennardJones(sigma=3.4, epsilon=0.0104, rc=self.cutoff, smooth=True)

    def predict(
        self, frames: Sequence[Atoms], *, batch_atoms: int = BATCH_ATOMS
    ) -> list[Label]:
        refuse_unknown_elements(frames, self.elements, self.name)
        labels = []
        for frame in frames:
            atoms = frame.copy()
            atoms.calc = self.calculator()
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
            stress = atoms.get_stress() if atoms.pbc.all() else None
            labels.append(Label(float(energy), forces, stress))
        return labels
