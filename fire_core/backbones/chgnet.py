"""CHGNet: a second foundation model, whose weights ship in its wheel."""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ase.data import chemical_symbols

from fire_core.backbones.base import (
    BATCH_ATOMS,
    pack_by_atoms,
    refuse_unknown_elements,
)
from fire_core.backbones.calculator import BackboneCalculator
from fire_core.backbones.chgnet_graphs import predict_graphs, to_graph
from fire_core.errors import BackboneError
from fire_core.files import file_sha256
from fire_core.progress import tracked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from fire_core.backbones.chgnet_training import ChgnetNetwork
    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label, LabelledStructure

NAME: Final = "chgnet"


class ChgnetBackbone:
    """CHGNet 0.3.0 (Deng et al., Nat. Mach. Intell. 5 (2023) 1031), or one from it.

    Parameters
    ----------
    model
        Path of a model that was trained from it; empty: the published one.
    device
        `cpu` or `cuda`.
    dtype
        Not looked at: it computes in single precision.

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

    def __init__(
        self,
        model: str = "",
        *,
        device: str,
        dtype: str = "float32",  # noqa: ARG002 - what every family is given
    ) -> None:
        import torch

        self.name = model or NAME
        self.device, self.dtype = torch.device(device), torch.float32
        with _quietly():
            from chgnet.model import CHGNet

            if model:
                self.model = _read(Path(model)).to(self.device)
            else:
                self.model = CHGNet.load(use_device=device, verbose=False)
        self.cutoff = float(self.model.graph_converter.atom_graph_cutoff)
        self.sha256 = file_sha256(Path(model)) if model else _digest(self.model)
        energies = self.model.composition_model.fc.weight.detach().cpu().double()[0]
        self.atomic_energies = {
            symbol: float(energies[z - 1])
            for z, symbol in enumerate(chemical_symbols[1:95], start=1)
        }

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
        refuse_unknown_elements(frames, self.elements, self.name)
        labels: list[Label] = []
        parts = list(pack_by_atoms([len(f) for f in frames], batch_atoms))
        for part in tracked(parts, "Predicting"):
            graphs = [to_graph(self.model, frames[i]) for i in part]
            labels += predict_graphs(self.model, graphs)
        return labels

    def network(
        self,
        config: TrainConfig,
        train: Sequence[LabelledStructure],  # noqa: ARG002 - its scale is kept
        *,
        seed: int,  # noqa: ARG002 - no new weights
        start: Trainable | None = None,
    ) -> ChgnetNetwork:
        """Return a network to train; see `backbones.chgnet_training`."""
        from fire_core.backbones.chgnet_training import ChgnetNetwork

        return ChgnetNetwork(self.model, config, name=self.name, start=start)

    def save(self, path: Path) -> None:
        """Write the model as `CHGNet.from_file` reads it."""
        import torch

        torch.save({"model": self.model.as_dict()}, path)

    def reload(self, path: Path) -> ChgnetBackbone:
        """Return the model of another file on the same device."""
        return ChgnetBackbone(str(path), device=str(self.device))


def _digest(model: Any) -> str:
    """Return a hash of a model's weights, which have no file of their own."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> Any:
    import pickle

    import torch
    from chgnet.model import CHGNet

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return CHGNet.from_dict(state["model"])
    except (OSError, RuntimeError, KeyError, TypeError, pickle.PickleError) as error:
        msg = (
            f"expected chgnet, or chgnet: and the path of a model trained from it, got "
            f"{path}, which cannot be read ({error})"
        )
        raise BackboneError(msg) from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what CHGNet prints when it is made."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
