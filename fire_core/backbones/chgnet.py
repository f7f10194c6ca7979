"""CHGNet: a second foundation model, whose weights ship in its wheel."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import chemical_symbols

from fire_core.backbones.base import (
    BATCH_ATOMS,
    pack_by_atoms,
    refuse_unknown_elements,
)
from fire_core.backbones.calculator import BackboneCalculator
from fire_core.errors import BackboneError
from fire_core.progress import tracked
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

GPA: Final = 1.0 / 160.21766208  # eV/Å³ in a GPa


class ChgnetBackbone:
    """CHGNet 0.3.0 (Deng et al., Nat. Mach. Intell. 5 (2023) 1031).

    Parameters
    ----------
    model
        Empty: there is this one model.
    device
        `cpu` or `cuda`.
    dtype
        Not looked at: it computes in single precision.

    Raises
    ------
    BackboneError
        Another model was asked for.
    """

    name = "chgnet"
    elements = frozenset(chemical_symbols[1:95])

    def __init__(
        self,
        model: str = "",
        *,
        device: str,
        dtype: str = "float32",  # noqa: ARG002 - what every family is given
    ) -> None:
        if model:
            msg = f"chgnet has one model, its own, not {model!r}; ask for chgnet"
            raise BackboneError(msg)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from chgnet.model import CHGNet

            self.model = CHGNet.load(use_device=device, verbose=False)
        self.cutoff = float(self.model.graph_converter.atom_graph_cutoff)
        digest = hashlib.sha256()
        for key, value in sorted(self.model.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().numpy().tobytes())
        self.sha256 = digest.hexdigest()

    def calculator(self) -> Calculator:
        """Return an ASE calculator of the model."""
        return BackboneCalculator(self)

    def predict(
        self, frames: Sequence[Atoms], *, batch_atoms: int = BATCH_ATOMS
    ) -> list[Label]:
        """Return energies (eV), forces (eV/Å) and stresses (eV/Å³) in order.

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """
        from pymatgen.io.ase import AseAtomsAdaptor

        refuse_unknown_elements(frames, self.elements, self.name)
        labels = []
        parts = list(pack_by_atoms([len(f) for f in frames], batch_atoms))
        for part in tracked(parts, "Predicting"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # notes on isolated atoms
                graphs = [
                    self.model.graph_converter(AseAtomsAdaptor.get_structure(frames[i]))
                    for i in part
                ]
                outputs = self.model.predict_graph(
                    graphs, task="efs", batch_size=len(graphs)
                )
            outputs = [outputs] if isinstance(outputs, dict) else outputs
            labels += [
                _label(out, len(frames[i]))
                for i, out in zip(part, outputs, strict=True)
            ]
        return labels


def _label(output: dict[str, Any], n_atoms: int) -> Label:
    stress = np.asarray(output["s"], np.float64) * GPA
    voigt = np.array(
        [stress[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]
    )
    return Label(
        float(output["e"]) * n_atoms, np.asarray(output["f"], np.float64), voigt
    )
