"""A MACE network while it is trained: `backbones.trainable.Network` for MACE."""

from __future__ import annotations

import copy
import io
from typing import TYPE_CHECKING, Any

from fire_core.backbones.mace_graphs import predict_graphs, to_batch
from fire_core.backbones.mace_networks import (
    build_network,
    fast_twin,
    finish_network,
    head_of,
    kernels_of,
    trainable_parameters,
)
from fire_core.backbones.trainable import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from ase import Atoms

    from fire_core.backbones.mace_graphs import LoadedMace
    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label, LabelledStructure


class MaceNetwork:
    """A MACE network that a strategy trains.

    Parameters
    ----------
    backbone
        Foundation model; not changed.
    config
        Strategy, frozen parts, adapters.
    train
        Target structures; scratch scales its new weights by them.
    seed
        Source of new weights.
    start
        Fine-tuned model whose weights are gone on from.

    Attributes
    ----------
    module
        The network in the layers that are trained.
    fast
        What computes it: the same, or a twin on its weights that takes less time.
    """

    def __init__(
        self,
        backbone: LoadedMace,
        config: TrainConfig,
        train: Sequence[LabelledStructure],
        seed: int,
        start: Trainable | None = None,
    ) -> None:
        self._backbone, self._config = backbone, config
        self.module = build_network(backbone, config, train, seed, start)
        self.fast = fast_twin(self.module, kernels_of(backbone, config))

    def graph(self, atoms: Atoms, *, replay: bool = False) -> Any:
        """Return a structure as MACE's graph, at the head that it is trained on."""
        head = head_of(self._config, target=not replay)
        return self._backbone.graph(atoms, head=head)

    def forward(self, graphs: Sequence[Any], *, stress: bool) -> Prediction:
        """Predict graphs so that the weights' gradients can be had."""
        batch = to_batch(graphs, self._backbone.device)
        self.fast.train()
        output = self.fast(
            batch.to_dict(), training=True, compute_force=True, compute_stress=stress
        )
        return Prediction(output["energy"], output["forces"], output.get("stress"))

    def predict(self, graphs: Sequence[Any]) -> list[Label]:
        """Return the labels of graphs in one pass; energies in double precision."""
        return predict_graphs(self.fast.eval(), graphs, self._backbone.device)

    def export(
        self, weights: Sequence[torch.Tensor], shift: Mapping[str, float]
    ) -> bytes:
        """Return the network with other weights as a file of mace-torch.

        It has one readout head, the target's, adapters merged, and the reference
        energies moved by `shift`, eV.
        """
        import torch

        model = copy.deepcopy(self.module)
        with torch.no_grad():
            trained = trainable_parameters(model)
            for parameter, kept in zip(trained, weights, strict=True):
                parameter.copy_(kept)
        model = finish_network(model, self._config, self._backbone)
        _shift_references(model, shift)
        buffer = io.BytesIO()
        torch.save(model.to("cpu").eval(), buffer)
        return buffer.getvalue()


def _shift_references(model: Any, shift: Mapping[str, float]) -> None:
    import torch
    from ase.data import chemical_symbols

    energies = model.atomic_energies_fn.atomic_energies
    offsets = [shift.get(chemical_symbols[int(z)], 0.0) for z in model.atomic_numbers]
    energies.data += torch.tensor(offsets, dtype=energies.dtype, device=energies.device)
