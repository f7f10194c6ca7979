"""SevenNet by its authors' package: predicts, drives dynamics, can be fine-tuned.

SevenNet: Park et al., J. Chem. Theory Comput. 20 (2024) 4857. Files are the package's
own checkpoints, so that its tools read what FIRE trains.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.backbones.base import (
    BATCH_ATOMS,
    pack_by_atoms,
    refuse_unknown_elements,
)
from fire_core.backbones.calculator import BackboneCalculator
from fire_core.backbones.neutral import NeutralModel, is_neutral
from fire_core.backbones.packaged.sevenn_neutral import from_neutral, to_neutral
from fire_core.backbones.packaged.sevenn_training import (
    CONSTANT,
    SevennNetwork,
    predict_graphs,
    read_references,
    to_graph,
    write_checkpoint,
)
from fire_core.backbones.packaged.states import PredictedStates
from fire_core.errors import BackboneError
from fire_core.files import file_sha256
from fire_core.progress import tracked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label, LabelledStructure

NAME: Final = "sevenn"
DEFAULT: Final = "sevennet-0"


class SevennBackbone:
    """A SevenNet, published or fine-tuned from one.

    Parameters
    ----------
    model
        A name of the package, such as `sevennet-l3i5`, or the path of a checkpoint;
        empty: SevenNet-0 of July 2024.
    device
        `cpu` or `cuda`.
    dtype
        Not looked at: it computes in single precision.

    Attributes
    ----------
    atomic_energies
        Reference energy of each element, eV: the shift of its last layer.

    Raises
    ------
    BackboneError
        There is no such model, it cannot be fetched, or it has several fidelities.
    """

    layout = ""

    def __init__(
        self,
        model: str = "",
        *,
        device: str,
        dtype: str = "float32",  # noqa: ARG002 - what every family is given
    ) -> None:
        import torch

        self.name = f"{NAME}:{model}" if model else NAME
        self.device, self.dtype = torch.device(device), torch.float32
        path = _find(model or DEFAULT)
        with _quietly():
            self.model, self.checkpoint = _read(path, self.name)
        self.model.to(self.device).eval()
        self.sha256 = file_sha256(path)
        self.cutoff = float(self.model.cutoff)
        self.atomic_energies = read_references(self.model)
        self.elements = frozenset(self.atomic_energies)

    def calculator(self) -> Calculator:
        """Return an ASE calculator of the model."""
        return BackboneCalculator(self)

    def predict(
        self, frames: Sequence[Atoms], *, batch_atoms: int | None = None
    ) -> list[Label]:
        """Return energies (eV), forces (eV/Å) and stresses (eV/Å³) in order.

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """
        refuse_unknown_elements(frames, self.elements, self.name)
        labels: list[Label] = []
        parts = list(
            pack_by_atoms([len(f) for f in frames], batch_atoms or BATCH_ATOMS)
        )
        for part in tracked(parts, "Predicting"):
            graphs = [to_graph(self.model, frames[i]) for i in part]
            labels += predict_graphs(self.model, graphs)
        return labels

    def atom_features(
        self, frames: Sequence[Atoms], *, batch_atoms: int | None = None
    ) -> list[NDArray[np.float64]]:
        """Return what goes into the readout for each atom, (n_atoms, channels).

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """
        refuse_unknown_elements(frames, self.elements, self.name)
        features: list[NDArray[np.float64]] = []
        for part in pack_by_atoms([len(f) for f in frames], batch_atoms or BATCH_ATOMS):
            graphs = [to_graph(self.model, frames[i]) for i in part]
            caught: list[Any] = []
            hook = self.model.reduce_input_to_hidden.register_forward_pre_hook(
                lambda _, inputs, caught=caught: caught.append(inputs[0]["x"].detach())
            )
            try:
                predict_graphs(self.model, graphs)
            finally:
                hook.remove()
            rows = caught[0].cpu().double().numpy()
            ends = np.cumsum([len(frames[i]) for i in part])[:-1]
            features += np.split(rows, ends)
        return features

    def batched_model(self, *, stress: bool = False) -> Any:
        """Return what computes many systems at once; see `packaged.states`."""
        return PredictedStates(
            self, device=self.device, dtype=self.dtype, compute_stress=stress
        )

    def network(
        self,
        config: TrainConfig,
        train: Sequence[LabelledStructure],  # noqa: ARG002 - its scale is kept
        *,
        seed: int,  # noqa: ARG002 - no new weights
        start: Trainable | None = None,
    ) -> SevennNetwork:
        """Return a network to train; see `SevennNetwork`."""
        return SevennNetwork(
            self.model, self.checkpoint, config, name=self.name, start=start
        )

    def save(self, path: Path) -> None:
        """Write the model as a checkpoint of the package."""
        path.write_bytes(write_checkpoint(self.model, self.checkpoint))

    def neutral(self) -> NeutralModel:
        """Return the model as tensors and JSON."""
        return to_neutral(self.model, self.checkpoint, CONSTANT)

    def reload(self, path: Path) -> SevennBackbone:
        """Return the model of another file on the same device."""
        return SevennBackbone(str(path), device=str(self.device))


def _find(model: str) -> Path:
    """Return the file of a model, fetched by the package where it has to be."""
    if Path(model).is_file():
        return Path(model)
    from sevenn.util import get_available_pretrained_models, pretrained_name_to_path

    try:
        with _quietly():
            return Path(pretrained_name_to_path(model))
    except ValueError as error:
        names = ", ".join(get_available_pretrained_models())
        msg = (
            f"{NAME} has no model {model!r}: expected {NAME}: and one of {names}, or "
            "the path of a checkpoint"
        )
        raise BackboneError(msg) from error
    except Exception as error:
        msg = (
            f"the weights of {NAME}:{model} cannot be fetched ({error}); download the "
            f"checkpoint where there is a network, and give its path as {NAME}:PATH"
        )
        raise BackboneError(msg) from error


def _read(path: Path, name: str) -> tuple[Any, dict[str, Any]]:
    """Return a model and the configuration of its checkpoint."""
    from sevenn.checkpoint import SevenNetCheckpoint

    try:
        if is_neutral(path):
            model, config = from_neutral(path)
        else:
            checkpoint = SevenNetCheckpoint(path)
            model, config = checkpoint.build_model(), checkpoint.config
    except Exception as error:
        msg = (
            f"{path} cannot be read as a checkpoint of SevenNet ({error}); expected "
            f"{NAME}:PATH with a file that the package or FIRE wrote"
        )
        raise BackboneError(msg) from error
    if model.modal_map:
        msg = (
            f"{name} has several fidelities ({', '.join(model.modal_map)}), which FIRE "
            f"does not choose among; use {NAME}:sevennet-0 or {NAME}:sevennet-l3i5"
        )
        raise BackboneError(msg)
    return model, config


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what the package prints when a model is made."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
