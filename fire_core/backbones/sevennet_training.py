"""A SevenNet while it is trained: `backbones.trainable.Network` for SevenNet."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.backbones.neutral import pack_neutral
from fire_core.backbones.sevennet_graphs import (
    evaluate,
    join,
    predict_graphs,
    reference_energies,
)
from fire_core.backbones.sevennet_weights import (
    adapt_elements,
    is_own,
    new_module,
    place,
    to_neutral,
)
from fire_core.backbones.trainable import (
    Prediction,
    adapts_elements,
    elements_of,
    refuse_settings,
)
from fire_core.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import torch
    from ase import Atoms

    from fire_core.backbones.kernels.nequip import NequipStack
    from fire_core.backbones.sevennet_graphs import LoadedSevennet, SevennetGraph
    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label, LabelledStructure

PARTS: Final = {
    "embedding": ("embedding", "wave_numbers"),
    "interactions": ("convolution", "radial", "before"),
    "products": ("after", "keep"),
    "readouts": ("hidden", "energy"),
}
"""Parts that `fine_tune.freeze` names, and words of the weights' names they hold."""


class SevennetNetwork:
    """A SevenNet whose weights are trained, all but references and scale.

    Parameters
    ----------
    backbone
        Foundation model; not changed.
    config
        Strategy, frozen parts.
    train
        Target structures; scratch scales its new weights by them.
    seed
        Source of new weights.
    start
        Fine-tuned model whose weights are gone on from.
    """

    def __init__(
        self,
        backbone: LoadedSevennet,
        config: TrainConfig,
        train: Sequence[LabelledStructure],
        seed: int,
        start: Trainable | None = None,
    ) -> None:
        refuse_settings(
            backbone.name,
            config,
            supported={"scratch", "freeze", "warm_start", "adapt: elements"},
        )
        self._backbone = backbone
        symbols = elements_of(train) if adapts_elements(backbone, config) else set()
        if config.strategy == "scratch":
            module = _with_new_weights(backbone, train, seed)
        else:
            module = _with_weights_of(start, backbone, symbols)
        self.module = module
        trained = [backbone.model.setting.elements.index(s) for s in sorted(symbols)]
        for name, parameter in self.module.named_parameters():
            ours = not trained or is_own(name, trained)
            parameter.requires_grad_(ours and not _is_frozen(name, config))

    def graph(self, atoms: Atoms, *, replay: bool = False) -> SevennetGraph:  # noqa: ARG002 - one readout
        """Return a structure as the network takes it."""
        return self._backbone.graph(atoms)

    def forward(self, graphs: Sequence[SevennetGraph], *, stress: bool) -> Prediction:
        """Predict graphs so that the weights' gradients can be had."""
        graph = join(graphs, self._backbone.device)
        found = evaluate(self.module, graph, stress=stress, training=True)
        energy = found.energy + reference_energies(self.module, graph)
        return Prediction(energy, found.forces, found.stress)

    def predict(self, graphs: Sequence[SevennetGraph]) -> list[Label]:
        """Return the labels of graphs in one pass; energies in double precision."""
        return predict_graphs(self.module, graphs, self._backbone.device)

    def export(
        self, weights: Sequence[torch.Tensor], shift: Mapping[str, float]
    ) -> bytes:
        """Return the network with other weights as the bytes of a neutral file.

        Its reference energies are moved by `shift`, eV.
        """
        import torch

        module = copy.deepcopy(self.module)
        trained = [p for p in module.parameters() if p.requires_grad]
        with torch.no_grad():
            for parameter, kept in zip(trained, weights, strict=True):
                parameter.copy_(kept)
            for i, symbol in enumerate(module.setting.elements):
                module.shift[i] += shift.get(symbol, 0.0)
        return pack_neutral(to_neutral(module, self._backbone.notice))


def _is_frozen(name: str, config: TrainConfig) -> bool:
    words = name.split(".")
    return any(word in PARTS[part] for part in config.freeze for word in words)


def _with_weights_of(
    start: Trainable | None, backbone: LoadedSevennet, symbols: Collection[str]
) -> Any:
    """Return the foundation model, its weights replaced by those of `start`.

    Atoms of the elements `symbols` get weights of their own.
    """
    if start is None:
        return adapt_elements(backbone.model, symbols)
    try:
        trained = adapt_elements(start.model, symbols)  # type: ignore[attr-defined]
        setting = trained.setting
        module = adapt_elements(
            backbone.model, [setting.elements[kind] for kind in setting.adapted]
        )
        references = module.shift.clone()
        module.load_state_dict(trained.state_dict())
    except (AttributeError, RuntimeError, ValueError) as error:  # not this architecture
        msg = (
            f"the model of the round before cannot be gone on from: {start.name} "
            f"has not the architecture of {backbone.name}; leave out warm_start"
        )
        raise TrainingError(msg) from error
    module.shift.copy_(references)
    return module


def _with_new_weights(
    backbone: LoadedSevennet, train: Sequence[LabelledStructure], seed: int
) -> NequipStack:
    """Return the architecture with random weights, scaled to the target's forces.

    The reference energies are kept: the fitted ones already bring the target's energies
    to the foundation's scale. Messages are divided by the mean number of neighbours, as
    SevenNet's own training does.
    """
    import torch

    module = new_module(backbone.model.setting, seed=seed)
    forces = np.concatenate([item.label.forces.ravel() for item in train])
    graphs = [backbone.graph(item.atoms) for item in train[:20]]
    edges = sum(graph.num_edges for graph in graphs)
    neighbours = max(edges / sum(graph.num_nodes for graph in graphs), 1.0)
    with torch.no_grad():
        module.scale.fill_(max(float(np.sqrt(np.mean(forces**2))), 1e-3))
        module.shift.copy_(backbone.model.shift)
        for layer in module.layers:
            layer.denominator.fill_(neighbours)
    return place(module, device=backbone.device, dtype=backbone.dtype)  # type: ignore[no-any-return]
