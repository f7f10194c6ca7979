"""A CHGNet while it is trained: `backbones.trainable.Network` for CHGNet.

Its magnetic moments are read by a layer of their own from the atoms' features. There
are no moments among the labels, so the layer is frozen; the features under it are
trained, and moments that a fine-tuned model predicts are not to be relied on.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.chgnet_graphs import ChgnetGraph, join, to_graph
from fire_core.backbones.chgnet_layers import compute, reference_energies
from fire_core.backbones.chgnet_models import (
    build_model,
    pack_model,
    predict_graphs,
)
from fire_core.backbones.trainable import Prediction, refuse_settings
from fire_core.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch
    from ase import Atoms

    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label

PARTS: Final = {
    "embedding": (
        *("atom_embedding", "bond_basis_expansion", "bond_embedding"),
        *("bond_weights_ag", "bond_weights_bg"),
        *("angle_basis_expansion", "angle_embedding"),
    ),
    "interactions": ("atom_conv_layers",),
    "products": ("bond_conv_layers", "angle_layers"),
    "readouts": ("readout_norm", "mlp"),
}
"""What each part of `TrainConfig.freeze` is here: `interactions` are the messages
between two atoms, `products` those of three, which see angles."""
UNUSED: Final = ("composition_model", "site_wise")
"""Reference energies, which alignment moves, and the readout of magnetic moments."""


class ChgnetNetwork:
    """A CHGNet whose weights are trained, all but its reference energies.

    Parameters
    ----------
    model
        A `chgnet.model.CHGNet`; not changed.
    config
        Strategy and frozen parts.
    name
        Of the model, for messages.
    seed
        Source of new weights.
    start
        Fine-tuned model whose weights are gone on from.
    """

    def __init__(
        self,
        model: Any,
        config: TrainConfig,
        *,
        name: str,
        seed: int,
        start: Trainable | None = None,
    ) -> None:
        supported = {"scratch", "freeze", "warm_start"}
        refuse_settings(name, config, supported=supported)
        weight = model.bond_embedding.weight
        self.device, self.dtype = weight.device, weight.dtype
        self.cutoff = float(model.graph_converter.atom_graph_cutoff)
        if config.strategy == "scratch":
            self.module = _with_new_weights(model, seed)
        else:
            self.module = copy.deepcopy(model)
        if start is not None:
            self._take_weights(start, name)
        fixed = (*UNUSED, *(m for part in config.freeze for m in PARTS[part]))
        last = f"angle_layers.{len(self.module.angle_layers) - 1}"  # nothing reads it
        for parameter_name, parameter in self.module.named_parameters():
            of = parameter_name.split(".")[0] in fixed
            parameter.requires_grad_(not of and not parameter_name.startswith(last))

    def graph(self, atoms: Atoms, *, replay: bool = False) -> ChgnetGraph:  # noqa: ARG002 - one readout
        """Return a structure as CHGNet's graph."""
        return to_graph(atoms, self.cutoff)

    def forward(self, graphs: Sequence[ChgnetGraph], *, stress: bool) -> Prediction:
        """Predict graphs so that the weights' gradients can be had."""
        self.module.train()
        batch = join(graphs, self.device)
        output = compute(self.module, batch, create_graph=True)
        energy = reference_energies(
            self.module, batch.numbers, batch.owner, len(graphs)
        )
        energy = energy.index_add(0, batch.owner, output.energies.double())
        return Prediction(
            energy.to(self.dtype),
            output.forces.to(self.dtype),
            output.stress.to(self.dtype) if stress else None,
        )

    def predict(self, graphs: Sequence[ChgnetGraph]) -> list[Label]:
        """Return the labels of graphs in one pass; energies in double precision."""
        return predict_graphs(self.module.eval(), graphs, self.device)

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
        return pack_model(model)

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


def _with_new_weights(model: Any, seed: int) -> Any:
    """Return a model of the same architecture and reference energies, newly drawn."""
    with _seeded(seed):
        new = build_model(model.model_args)
    new.composition_model.load_state_dict(model.composition_model.state_dict())
    weight = model.bond_embedding.weight
    return new.to(device=weight.device, dtype=weight.dtype)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from a seed in a block, and leave torch's own generator as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
