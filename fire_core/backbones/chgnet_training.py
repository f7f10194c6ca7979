"""A CHGNet while it is trained: `backbones.trainable.Network` for CHGNet."""

from __future__ import annotations

import copy
import io
from typing import TYPE_CHECKING, Any

from fire_core.backbones.chgnet_graphs import (
    GPA,
    ChgnetGraph,
    predict_graphs,
    to_graph,
)
from fire_core.backbones.trainable import Prediction, refuse_settings
from fire_core.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from ase import Atoms

    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label


class ChgnetNetwork:
    """A CHGNet whose weights are trained, all but its reference energies.

    Parameters
    ----------
    model
        A `chgnet.model.CHGNet`; not changed.
    config
        Strategy.
    name
        Of the model, for messages.
    start
        Fine-tuned model whose weights are gone on from.
    """

    def __init__(
        self,
        model: Any,
        config: TrainConfig,
        *,
        name: str,
        start: Trainable | None = None,
    ) -> None:
        refuse_settings(name, config, supported={"warm_start"})
        self.module = copy.deepcopy(model)
        if start is not None:
            self._take_weights(start, name)
        self.module.requires_grad_(requires_grad=True)
        self.module.composition_model.requires_grad_(requires_grad=False)

    def graph(self, atoms: Atoms, *, replay: bool = False) -> ChgnetGraph:  # noqa: ARG002 - one readout
        """Return a structure as CHGNet's graph."""
        return to_graph(self.module, atoms)

    def forward(self, graphs: Sequence[ChgnetGraph], *, stress: bool) -> Prediction:
        """Predict graphs so that the weights' gradients can be had."""
        import torch

        self.module.train()
        device = next(self.module.parameters()).device
        crystals = [graph.crystal.to(device) for graph in graphs]
        output = self.module(crystals, task="efs" if stress else "ef")
        return Prediction(
            output["e"] * output["atoms_per_graph"],
            torch.cat(output["f"]),
            torch.stack(output["s"]) * GPA if stress else None,
        )

    def predict(self, graphs: Sequence[ChgnetGraph]) -> list[Label]:
        """Return the labels of graphs in one pass."""
        return predict_graphs(self.module, graphs)

    def export(
        self, weights: Sequence[torch.Tensor], shift: Mapping[str, float]
    ) -> bytes:
        """Return the network with other weights as `CHGNet.from_file` reads it.

        Its reference energies are moved by `shift`, eV.
        """
        import torch
        from ase.data import atomic_numbers

        model = copy.deepcopy(self.module).to("cpu")
        trained = [p for p in model.parameters() if p.requires_grad]
        with torch.no_grad():
            for parameter, kept in zip(trained, weights, strict=True):
                parameter.copy_(kept)
            references = model.composition_model.fc.weight
            for symbol, value in shift.items():
                references[0, atomic_numbers[symbol] - 1] += value
        buffer = io.BytesIO()
        torch.save({"model": model.as_dict()}, buffer)
        return buffer.getvalue()

    def _take_weights(self, start: Trainable, name: str) -> None:
        references = copy.deepcopy(self.module.composition_model.state_dict())
        try:
            self.module.load_state_dict(start.model.state_dict())  # type: ignore[attr-defined]
        except (AttributeError, RuntimeError) as error:  # no CHGNet, or another one
            msg = (
                f"the model of the round before cannot be gone on from: {start.name} "
                f"has not the architecture of {name}; leave out warm_start"
            )
            raise TrainingError(msg) from error
        self.module.composition_model.load_state_dict(references)
