"""SevenNet: foundation models of equivariant message passing, in MACE's environment."""

from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fire_core.backbones.base import refuse_unknown_elements
from fire_core.backbones.batch_sizes import BatchSizes, sizes_of
from fire_core.backbones.calculator import BackboneCalculator
from fire_core.backbones.neutral import pack_neutral
from fire_core.backbones.sevennet_graphs import join, predict_graphs, to_graph
from fire_core.backbones.sevennet_install import find_installed
from fire_core.backbones.sevennet_weights import (
    FAMILY,
    place,
    read_module,
    to_neutral,
)
from fire_core.backbones.torch_types import dtype_name
from fire_core.errors import BackboneError
from fire_core.files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from fire_core.backbones.kernels.nequip import NequipStack
    from fire_core.backbones.neutral import NeutralModel
    from fire_core.backbones.sevennet_graphs import SevennetGraph
    from fire_core.backbones.sevennet_training import SevennetNetwork
    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label, LabelledStructure


class SevennetBackbone:
    """A SevenNet in memory (Park et al., J. Chem. Theory Comput. 20 (2024) 4857).

    Parameters
    ----------
    module
        The network; moved to `device` and `dtype`.
    name
        How it was asked for.
    sha256
        Hash of its file.
    device, dtype
        torch's names for them.
    notice
        Authors, licence and source of the weights it came from.

    Attributes
    ----------
    model
        The network.
    atomic_energies
        Reference energy of each element, eV.
    """

    layout = ""
    adapts_elements = True  # where a training leaves it to the backbone

    def __init__(
        self,
        module: NequipStack,
        *,
        name: str,
        sha256: str,
        device: str,
        dtype: str,
        notice: Mapping[str, str] | None = None,
    ) -> None:
        import torch

        self.name, self.sha256 = name, sha256
        self.device, self.dtype = torch.device(device), getattr(torch, dtype)
        self.sizes = BatchSizes.of(self.device)
        self.notice = dict(notice or {})
        self.model = place(module, device=self.device, dtype=self.dtype).eval()
        self.model.requires_grad_(requires_grad=False)
        setting = self.model.setting
        self.elements = frozenset(setting.elements)
        self.cutoff = setting.cutoff
        self.atomic_energies = dict(
            zip(setting.elements, self.model.shift.tolist(), strict=True)
        )
        self._index = {symbol: i for i, symbol in enumerate(setting.elements)}

    def calculator(self) -> Calculator:
        """Return an ASE calculator of the model."""
        return BackboneCalculator(self)

    def graph(self, atoms: Atoms) -> SevennetGraph:
        """Return a structure as the network takes it; see `sevennet_graphs`."""
        return to_graph(atoms, index=self._index, cutoff=self.cutoff, dtype=self.dtype)

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

        def compute(batch: list[int]) -> list[Label]:
            graphs = [self.graph(frames[i]) for i in batch]
            return predict_graphs(self.model, graphs, self.device)

        return self.sizes.compute(sizes_of(frames), compute, most=batch_atoms)

    def atom_features(
        self, frames: Sequence[Atoms], *, batch_atoms: int | None = None
    ) -> list[NDArray[np.float64]]:
        """Return the invariant features of each frame's atoms, (n_atoms, k).

        They are the scalars after each layer, side by side.

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """
        import torch

        refuse_unknown_elements(frames, self.elements, self.name)

        def compute(part: list[int]) -> list[NDArray[np.float64]]:
            batch = join([self.graph(frames[i]) for i in part], self.device)
            scalars: list[torch.Tensor] = []
            with torch.no_grad():
                self.model(batch.kinds, batch.vectors, batch.pairs, scalars)
            values = torch.cat(scalars, dim=1).cpu().double().numpy()
            bounds = pairwise(accumulate(batch.sizes, initial=0))
            return [values[a:b] for a, b in bounds]

        return self.sizes.compute(
            sizes_of(frames), compute, most=batch_atoms, title="Features of atoms"
        )

    def batched_model(self, *, stress: bool = False) -> Any:
        """Return what computes many systems at once; see `sevennet_batched`."""
        from fire_core.backbones.sevennet_batched import BatchedSevennet

        return BatchedSevennet(
            self.model, device=self.device, dtype=self.dtype, compute_stress=stress
        )

    def network(
        self,
        config: TrainConfig,
        train: Sequence[LabelledStructure],
        *,
        seed: int,
        start: Trainable | None = None,
    ) -> SevennetNetwork:
        """Return a network to train; see `backbones.sevennet_training`."""
        from fire_core.backbones.sevennet_training import SevennetNetwork

        return SevennetNetwork(self, config, train, seed, start)

    def neutral(self) -> NeutralModel:
        """Return the model as plain tensors and JSON, which its files are made of."""
        return to_neutral(self.model, self.notice)

    def save(self, path: Path) -> None:
        """Write the model as neutral tensors."""
        path.write_bytes(pack_neutral(self.neutral()))

    def reload(self, path: Path) -> SevennetBackbone:
        """Return the model of another file on the same device, in the same type."""
        return _read(path, self.name, str(self.device), dtype_name(self.dtype))


def load_sevennet(model: str, *, device: str, dtype: str) -> SevennetBackbone:
    """Return the model of a file that FIRE wrote: what `sevennet:PATH` names.

    Raises
    ------
    BackboneError
        There is no such file, or it is none of SevenNet.
    """
    if not model:
        msg = (
            "sevennet alone names no model: expected sevennet-0, sevennet-l3i5, "
            "sevennet-mf-0, or sevennet: and the path of a model that FIRE wrote"
        )
        raise BackboneError(msg)
    return _read(Path(model), f"{FAMILY}:{model}", device, dtype)


def load_sevennet_0(model: str, *, device: str, dtype: str) -> SevennetBackbone:
    """Return SevenNet-0 (11 July 2024), or the model of a file trained from it."""
    return _load_published("sevennet-0", model, device, dtype)


def load_sevennet_l3i5(model: str, *, device: str, dtype: str) -> SevennetBackbone:
    """Return SevenNet-l3i5, or the model of a file trained from it."""
    return _load_published("sevennet-l3i5", model, device, dtype)


def load_sevennet_mf_0(model: str, *, device: str, dtype: str) -> SevennetBackbone:
    """Return SevenNet-MF-0 at its level PBE, or the model of a file trained from it."""
    return _load_published("sevennet-mf-0", model, device, dtype)


def _load_published(name: str, model: str, device: str, dtype: str) -> SevennetBackbone:
    if model:
        return _read(Path(model), f"{name}:{model}", device, dtype)
    return _read(find_installed(name), name, device, dtype)


def _read(path: Path, name: str, device: str, dtype: str) -> SevennetBackbone:
    module, notice = read_module(path)
    return SevennetBackbone(
        module,
        name=name,
        sha256=file_sha256(path),
        device=device,
        dtype=dtype,
        notice=notice,
    )
