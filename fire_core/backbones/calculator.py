"""An ASE calculator on top of any backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ase.calculators.calculator import Calculator, all_changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone


class BackboneCalculator(Calculator):  # type: ignore[misc]
    """Energy (eV), forces (eV/Å) and stress (eV/Å³, Voigt) of a backbone."""

    implemented_properties: ClassVar[list[str]] = [
        "energy",
        "free_energy",
        "forces",
        "stress",
    ]

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute everything at once; ASE keeps it until the atoms move."""
        super().calculate(atoms, list(properties), list(system_changes))
        label = self.backbone.predict([self.atoms])[0]
        results: dict[str, Any] = {
            "energy": label.energy,
            "free_energy": label.energy,
            "forces": label.forces,
        }
        if label.stress is not None and self.atoms.pbc.all():
            results["stress"] = label.stress
        self.results = results
