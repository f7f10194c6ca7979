"""CHGNet: a second foundation model, whose weights ship in its wheel."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ase.data import chemical_symbols

from fire_core.backbones.base import refuse_unknown_elements
from fire_core.backbones.batch_sizes import BatchSizes, sizes_of
from fire_core.backbones.calculator import BackboneCalculator
from fire_core.backbones.chgnet_graphs import to_graph
from fire_core.backbones.chgnet_models import (
    features_of_graphs,
    pack_model,
    predict_graphs,
    published_model,
    read_model,
)
from fire_core.backbones.export import ExportFormat
from fire_core.backbones.torch_types import dtype_name
from fire_core.files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from fire_core.backbones.chgnet_training import ChgnetNetwork
    from fire_core.backbones.export import ExportCheck
    from fire_core.backbones.neutral import NeutralModel
    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label, LabelledStructure

NAME: Final = "chgnet"


class ChgnetBackbone:
    """CHGNet 0.3.0 (Deng et al., Nat. Mach. Intell. 5 (2023) 1031), or one from it.

    An atom without any other within the cutoff has the energy that the network gives
    it, which nobody trained; the package refuses such structures.

    Parameters
    ----------
    model
        Path of a model that was trained from it; empty: the published one.
    device
        `cpu` or `cuda`.
    dtype
        `float32` or `float64`; the published weights are of single precision.

    Attributes
    ----------
    atomic_energies
        Reference energy of each element, eV: CHGNet's linear model of compositions.

    Raises
    ------
    BackboneError
        The file is not there, or is none of CHGNet.
    """

    elements = frozenset(chemical_symbols[1:95])
    layout = ""
    formats = frozenset({ExportFormat.CHGNET, ExportFormat.ASE})

    def __init__(self, model: str = "", *, device: str, dtype: str = "float32") -> None:
        import torch

        self.name = model or NAME
        self.device, self.dtype = torch.device(device), getattr(torch, dtype)
        self.sizes = BatchSizes.of(self.device)
        loaded = read_model(Path(model)) if model else published_model()
        self.sha256 = file_sha256(Path(model)) if model else _digest(loaded)
        self.model = loaded.to(device=self.device, dtype=self.dtype).eval()
        self.model.requires_grad_(requires_grad=False)
        self.cutoff = float(self.model.graph_converter.atom_graph_cutoff)
        energies = self.model.composition_model.fc.weight.detach().cpu().double()[0]
        self.atomic_energies = {
            symbol: float(energies[z - 1])
            for z, symbol in enumerate(chemical_symbols[1:95], start=1)
        }

    def calculator(self) -> Calculator:
        """Return an ASE calculator of the model."""
        return BackboneCalculator(self)

    def predict(
        self, frames: Sequence[Atoms], *, batch_atoms: int | None = None
    ) -> list[Label]:
        """Return energies (eV), forces (eV/Å) and stresses (eV/Å³) in order.

        A structure that does not repeat in all directions has no stress.

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """
        refuse_unknown_elements(frames, self.elements, self.name)

        def compute(batch: list[int]) -> list[Label]:
            graphs = [to_graph(frames[i], self.cutoff) for i in batch]
            return predict_graphs(self.model, graphs, self.device)

        return self.sizes.compute(sizes_of(frames), compute, most=batch_atoms)

    def atom_features(
        self, frames: Sequence[Atoms], *, batch_atoms: int | None = None
    ) -> list[NDArray[np.float64]]:
        """Return what the readout takes of each frame's atoms, (n_atoms, 64).

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """
        refuse_unknown_elements(frames, self.elements, self.name)

        def compute(batch: list[int]) -> list[NDArray[np.float64]]:
            graphs = [to_graph(frames[i], self.cutoff) for i in batch]
            return features_of_graphs(self.model, graphs, self.device)

        return self.sizes.compute(
            sizes_of(frames), compute, most=batch_atoms, title="Features of atoms"
        )

    def batched_model(self, *, stress: bool = False) -> Any:
        """Return what computes many systems at once; see `chgnet_batched`."""
        from fire_core.backbones.chgnet_batched import BatchedChgnet

        return BatchedChgnet(
            self.model, device=self.device, dtype=self.dtype, compute_stress=stress
        )

    def network(
        self,
        config: TrainConfig,
        train: Sequence[LabelledStructure],  # noqa: ARG002 - its scale is kept
        *,
        seed: int,
        start: Trainable | None = None,
    ) -> ChgnetNetwork:
        """Return a network to train; see `backbones.chgnet_training`."""
        from fire_core.backbones.chgnet_training import ChgnetNetwork

        return ChgnetNetwork(self.model, config, name=self.name, seed=seed, start=start)

    def save(self, path: Path) -> None:
        """Write the model as `CHGNet.from_file` reads it."""
        path.write_bytes(pack_model(self.model))

    def reload(self, path: Path) -> ChgnetBackbone:
        """Return the model of another file on the same device, in the same type."""
        return ChgnetBackbone(
            str(path), device=str(self.device), dtype=dtype_name(self.dtype)
        )

    def neutral(self) -> NeutralModel:
        """Return the model as tensors and JSON; see `backbones.chgnet_neutral`."""
        from fire_core.backbones.chgnet_neutral import chgnet_to_neutral

        return chgnet_to_neutral(self.model)

    def write(self, format_: ExportFormat, path: Path, source: Path | None) -> None:
        """Write the model for another program, without checking it."""
        from fire_core.backbones.chgnet_export import write_format

        write_format(self, format_, path, source)

    def check(
        self, format_: ExportFormat, path: Path, frames: Sequence[Atoms]
    ) -> ExportCheck:
        """Predict structures with what was written and with the model itself."""
        from fire_core.backbones.chgnet_export import check_export

        return check_export(self, format_, path, frames)

    def usage(self, format_: ExportFormat, path: Path) -> str:
        """Return how the written model is used, for a person."""
        from fire_core.backbones.chgnet_export import USAGE

        return USAGE[format_].format(path=path)


def _digest(model: Any) -> str:
    """Return a hash of a model's weights, which have no file of their own."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
