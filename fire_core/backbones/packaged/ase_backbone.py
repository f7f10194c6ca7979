"""Any model that comes as an ASE calculator: it predicts and drives dynamics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fire_core.backbones.base import refuse_unknown_elements
from fire_core.backbones.packaged.states import PredictedStates
from fire_core.errors import BackboneError
from fire_core.progress import tracked
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from ase import Atoms
    from ase.calculators.calculator import Calculator


class AseBackbone:
    """A model whose package gives an ASE calculator.

    Frames are computed one after the other, by the package's own code.

    Parameters
    ----------
    calculator
        Energy (eV), forces (eV/Å) and, where it has it, stress (eV/Å³, Voigt).
    name
        How the model was asked for.
    elements
        Chemical symbols that it knows.
    cutoff
        Radius of its neighbourhoods, Å.
    sha256
        Hash of its weights.
    device, dtype
        torch's; where and in what type it computes.
    """

    def __init__(  # noqa: PLR0913 - what a backbone tells of itself
        self,
        calculator: Calculator,
        *,
        name: str,
        elements: frozenset[str],
        cutoff: float,
        sha256: str,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._calculator = calculator
        self.name = name
        self.elements = elements
        self.cutoff = cutoff
        self.sha256 = sha256
        self.device = device
        self.dtype = dtype

    def calculator(self) -> Calculator:
        """Return an ASE calculator of the model."""
        from fire_core.backbones.calculator import BackboneCalculator

        return BackboneCalculator(self)

    def predict(
        self,
        frames: Sequence[Atoms],
        *,
        batch_atoms: int | None = None,  # noqa: ARG002 - one frame at a time
    ) -> list[Label]:
        """Return energies (eV), forces (eV/Å) and stresses (eV/Å³) in order.

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        BackboneError
            The package's calculator failed.
        """
        refuse_unknown_elements(frames, self.elements, self.name)
        return [self._predict(frame) for frame in tracked(frames, "Predicting")]

    def batched_model(self, *, stress: bool = False) -> Any:
        """Return what computes many systems at once; see `packaged.states`."""
        return PredictedStates(
            self, device=self.device, dtype=self.dtype, compute_stress=stress
        )

    def _predict(self, frame: Atoms) -> Label:
        atoms = frame.copy()
        atoms.calc = self._calculator
        with_stress = bool(atoms.pbc.all()) and _gives_stress(self._calculator)
        try:
            energy = float(np.asarray(atoms.get_potential_energy()).reshape(-1)[0])
            forces = np.asarray(atoms.get_forces(), np.float64)
            stress = np.asarray(atoms.get_stress(), np.float64) if with_stress else None
        except Exception as error:
            msg = (
                f"{self.name} cannot predict {frame.get_chemical_formula()}: its "
                f"package says {type(error).__name__}: {error}; see whether "
                "the structure is sound, and `fire backbone check` the model"
            )
            raise BackboneError(msg) from error
        finally:
            self._calculator.reset()
        return Label(energy, forces, stress)


def _gives_stress(calculator: Calculator) -> bool:
    return "stress" in calculator.implemented_properties
