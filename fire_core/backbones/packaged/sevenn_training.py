"""Graphs and weights of the package sevenn: what is predicted and trained with."""

from __future__ import annotations

import copy
import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.backbones.trainable import Prediction, refuse_settings
from fire_core.errors import TrainingError
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from ase import Atoms

    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig

CONSTANT: Final = "_tensor_constant"
"""In the names of buffers that e3nn's compiled code gains when a model is copied."""
VOIGT: Final = (0, 1, 2, 4, 5, 3)
"""ASE's order, xx yy zz yz xz xy, out of the package's xx yy zz xy yz zx."""
FULL: Final = (0, 3, 5, 3, 1, 4, 5, 4, 2)
"""The nine of a symmetric tensor out of the package's six."""


def to_graph(model: Any, atoms: Atoms) -> Any:
    """Return a structure as the package's graph, in single precision."""
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph

    arrays = unlabeled_atoms_to_graph(atoms, float(model.cutoff))
    arrays.pop("data_info", None)
    return AtomGraphData.from_numpy_dict(arrays)


def run(model: Any, graphs: Sequence[Any]) -> dict[str, Any]:
    """Return what a model says of graphs in one pass.

    Returns
    -------
    dict
        `energy`, (n_graphs,), eV, float64: the parts of the atoms are scaled, shifted
        and added in double precision; `forces`, (n_atoms, 3), eV/Å; `stress`,
        (n_graphs, 6), eV/Å³, in the package's order, positive under tension.
    """
    import torch
    from torch_geometric.data import Batch

    device = next(model.parameters()).device
    batch = Batch.from_data_list(list(graphs)).to(device)
    model.set_is_batch_data(True)
    output = model(batch)
    last = model.rescale_atomic_energy
    kind = output["atom_type"]
    atoms = output["scaled_atomic_energy"][:, 0].double()
    atoms = atoms * last.scale[kind].double() + last.shift[kind].double()
    energy = atoms.new_zeros(len(graphs)).index_add(0, batch.batch, atoms)
    forces, stress = output["inferred_force"], output["inferred_stress"]
    return {"energy": energy, "forces": forces, "stress": torch.neg(stress)}


def predict_graphs(model: Any, graphs: Sequence[Any]) -> list[Label]:
    """Return the labels of graphs in one pass."""
    was_training = model.training
    model.eval()
    try:
        output = run(model, graphs)
    finally:
        model.train(was_training)
    energies, forces, stresses = (
        output[name].detach().cpu().double().numpy()
        for name in ("energy", "forces", "stress")
    )
    ends = np.cumsum([int(graph.num_nodes) for graph in graphs])[:-1]
    return [
        Label(float(energy), part, stress[list(VOIGT)])
        for energy, part, stress in zip(
            energies, np.split(forces, ends), stresses, strict=True
        )
    ]


def read_references(model: Any) -> dict[str, float]:
    """Return the energy that a model gives each element by itself, eV."""
    from ase.data import chemical_symbols

    shift = model.rescale_atomic_energy.shift.detach().cpu().double()
    return {chemical_symbols[z]: float(shift[i]) for z, i in model.type_map.items()}


def write_checkpoint(model: Any, config: dict[str, Any]) -> bytes:
    """Return a model as a checkpoint that the package and FIRE read.

    The weights are in the order of the release that is installed, and the file says so:
    those of older ones are sorted when they are read.
    """
    import sevenn
    import torch

    last = model.rescale_atomic_energy
    kept = {key: value for key, value in config.items() if key != "device"}
    kept |= {"version": sevenn.__version__}
    kept |= {"shift": last.shift.detach().cpu().tolist()}
    kept |= {"scale": last.scale.detach().cpu().tolist()}
    state = {
        key: value.detach().cpu()
        for key, value in model.state_dict().items()
        if CONSTANT not in key
    }
    buffer = io.BytesIO()
    torch.save({"config": kept, "model_state_dict": state, "epoch": 0}, buffer)
    return buffer.getvalue()


class SevennNetwork:
    """A SevenNet whose weights are trained, all but scale and reference energies.

    Parameters
    ----------
    model
        An `AtomGraphSequential` of the package; not changed.
    checkpoint
        Configuration of its checkpoint.
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
        checkpoint: dict[str, Any],
        config: TrainConfig,
        *,
        name: str,
        start: Trainable | None = None,
    ) -> None:
        refuse_settings(name, config, supported={"warm_start"})
        self.module = copy.deepcopy(model)
        self._checkpoint = checkpoint
        if start is not None:
            self._take_weights(start, name)

    def graph(self, atoms: Atoms, *, replay: bool = False) -> Any:  # noqa: ARG002 - one readout
        """Return a structure as the package's graph."""
        return to_graph(self.module, atoms)

    def forward(self, graphs: Sequence[Any], *, stress: bool) -> Prediction:
        """Predict graphs so that the weights' gradients can be had."""
        self.module.train()
        output = run(self.module, graphs)
        full = output["stress"][:, list(FULL)].reshape(-1, 3, 3) if stress else None
        energy = output["energy"].to(output["forces"].dtype)  # as the targets are
        return Prediction(energy, output["forces"], full)

    def predict(self, graphs: Sequence[Any]) -> list[Label]:
        """Return the labels of graphs in one pass."""
        return predict_graphs(self.module, graphs)

    def export(
        self, weights: Sequence[torch.Tensor], shift: Mapping[str, float]
    ) -> bytes:
        """Return the network with other weights as a checkpoint of the package.

        Its reference energies are moved by `shift`, eV.
        """
        import torch
        from ase.data import atomic_numbers

        model = copy.deepcopy(self.module).to("cpu")
        trained = [p for p in model.parameters() if p.requires_grad]
        with torch.no_grad():
            for parameter, kept in zip(trained, weights, strict=True):
                parameter.copy_(kept)
            references = model.rescale_atomic_energy.shift
            for symbol, value in shift.items():
                references[model.type_map[atomic_numbers[symbol]]] += value
        return write_checkpoint(model, self._checkpoint)

    def _take_weights(self, start: Trainable, name: str) -> None:
        references = copy.deepcopy(self.module.rescale_atomic_energy.state_dict())
        try:
            kept = {
                key: value
                for key, value in self.module.state_dict().items()
                if CONSTANT in key
            }
            self.module.load_state_dict(start.model.state_dict() | kept)  # type: ignore[attr-defined]
        except (AttributeError, RuntimeError) as error:  # no SevenNet, or another one
            msg = (
                f"the model of the round before cannot be gone on from: {start.name} "
                f"has not the architecture of {name}; leave out warm_start"
            )
            raise TrainingError(msg) from error
        self.module.rescale_atomic_energy.load_state_dict(references)
