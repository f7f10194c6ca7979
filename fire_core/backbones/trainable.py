"""What a backbone offers that FIRE can fine-tune.

The trainer (`fire_core.training`) knows labels, loss, optimiser, replay, checkpoints.
A `Trainable` gives it the rest: reference energies, and a `Network` that turns frames
into graphs, predicts them so that torch can differentiate, and becomes a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeGuard

from fire_core.backbones.base import Backbone
from fire_core.errors import BackboneError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    import torch
    from ase import Atoms

    from fire_core.backbones.neutral import NeutralModel
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label, LabelledStructure

OPTIONAL: Final = (
    "scratch",
    "multihead_replay",
    "freeze",
    "lora",
    "warm_start",
    "adapt: elements",
)
"""Settings of a training that a network may do without."""


class Graph(Protocol):
    """A structure as a network takes it; the names are PyTorch Geometric's."""

    @property
    def num_nodes(self) -> Any:
        """Number of atoms; batches are packed by it."""

    @property
    def num_edges(self) -> Any:
        """Number of neighbour pairs within the cutoff; batches are packed by it."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a network says of several graphs, to be differentiated by its weights.

    Attributes
    ----------
    energy
        Total energies, (n_graphs,), eV, reference energies included.
    forces
        Of the atoms of all graphs in their order, (n_atoms, 3), eV/Å.
    stress
        (n_graphs, 3, 3), eV/Å³, positive under tension; None where it was not asked
        for.
    """

    energy: torch.Tensor
    forces: torch.Tensor
    stress: torch.Tensor | None = None


class Network(Protocol):
    """A network while it is trained.

    Attributes
    ----------
    module
        Its weights, which checkpoints keep. Those that ask for gradients are trained.
    """

    module: torch.nn.Module

    def graph(self, atoms: Atoms, *, replay: bool = False) -> Graph:
        """Return a structure as the network takes it.

        Parameters
        ----------
        atoms
            The structure.
        replay
            Whether it is pre-training data: a network with a readout head for these
            puts it there.
        """

    def forward(self, graphs: Sequence[Any], *, stress: bool) -> Prediction:
        """Predict graphs so that the weights' gradients can be had."""

    def predict(self, graphs: Sequence[Any]) -> list[Label]:
        """Return the labels of graphs in one pass; energies in double precision."""

    def export(
        self, weights: Sequence[torch.Tensor], shift: Mapping[str, float]
    ) -> bytes:
        """Return a model file that the backbone's family loads.

        Parameters
        ----------
        weights
            What the trained weights are to be, in the order of `module`.
        shift
            Added to the reference energy of each element, eV.
        """


class Trainable(Backbone, Protocol):
    """A backbone that can be fine-tuned.

    Attributes
    ----------
    device, dtype
        torch's; where and in what type it computes.
    atomic_energies
        Reference energy of each element that it knows, eV.
    adapts_elements
        Optional: whether `adapt: auto` means weights of the target's elements alone.
    layout
        What beside `sha256` decides the weights' shapes, for example whose layers
        compute it. Empty as a rule; a backbone with more has `with_layout`, for a
        training goes on in the layout that it began in.
    """

    device: torch.device
    dtype: torch.dtype
    atomic_energies: dict[str, float]
    layout: str

    def network(
        self,
        config: TrainConfig,
        train: Sequence[LabelledStructure],
        *,
        seed: int,
        start: Trainable | None = None,
    ) -> Network:
        """Return a network to train; the backbone itself is not changed by it.

        Parameters
        ----------
        config
            Strategy, frozen parts, adapters.
        train
            Target structures, on the foundation's energy scale; new weights may be
            scaled by them.
        seed
            Source of new weights.
        start
            Fine-tuned model whose weights are gone on from, with the reference
            energies of this one; None: this one's weights.

        Raises
        ------
        TrainingError
            The network cannot do what `config` asks for (`refuse_settings`), or
            `start` is of another architecture.
        """

    def save(self, path: Path) -> None:
        """Write the model to a file that `reload` reads."""

    def reload(self, path: Path) -> Trainable:
        """Return the model of another file on this one's device, in its type.

        The file is one that `save`, `Network.export` or `neutral.pack_neutral` made.
        """

    def neutral(self) -> NeutralModel:
        """Return the model as plain tensors and JSON, which outlive its library.

        Raises
        ------
        BackboneError
            The model has no such form.
        """


def is_trainable(backbone: Backbone) -> TypeGuard[Trainable]:
    """Return whether FIRE can fine-tune a backbone."""
    return hasattr(backbone, "network") and hasattr(backbone, "atomic_energies")


def need_trainable(backbone: Backbone) -> Trainable:
    """Return the backbone, which has to be one that can be fine-tuned.

    Raises
    ------
    BackboneError
        It is none.
    """
    if not is_trainable(backbone):
        msg = (
            f"{backbone.name} cannot be fine-tuned by FIRE; set backbone.name to one "
            "that can, such as fire-mini"
        )
        raise BackboneError(msg)
    return backbone


def in_layout(backbone: Trainable, layout: str | None) -> Trainable:
    """Return the same model in the layout of a training that goes on.

    Parameters
    ----------
    backbone
        Not changed.
    layout
        What the training began in; None: it is not known.

    Raises
    ------
    BackboneError
        What computes that layout is not installed here.
    """
    if layout in {None, backbone.layout} or not hasattr(backbone, "with_layout"):
        return backbone
    return backbone.with_layout(layout)  # type: ignore[no-any-return]


def elements_of(items: Collection[LabelledStructure]) -> set[str]:
    """Return the elements of structures."""
    return {s for item in items for s in item.atoms.get_chemical_symbols()}


def adapts_elements(backbone: object, config: TrainConfig) -> bool:
    """Return whether a training changes weights of the target's elements alone.

    Left to itself (`adapt: auto`) it does with a backbone that can give each element as
    many weights as all atoms share, which it says by `adapts_elements`.
    """
    if config.adapt != "auto":
        return config.adapt == "elements"
    able = bool(getattr(backbone, "adapts_elements", False))
    return able and not config.against_elements


def refuse_settings(
    name: str, config: TrainConfig, *, supported: Collection[str]
) -> None:
    """Raise TrainingError for settings that a network cannot follow.

    Parameters
    ----------
    name
        Of the backbone.
    config
        What is asked for.
    supported
        Those of `OPTIONAL` that the network can do.
    """
    asked = {
        "scratch": config.strategy == "scratch",
        "multihead_replay": config.strategy == "multihead_replay",
        "freeze": bool(config.freeze),
        "lora": config.lora is not None,
        "warm_start": config.warm_start,
        "adapt: elements": config.adapt == "elements",
    }
    refused = [o for o in OPTIONAL if asked[o] and o not in supported]
    if refused:
        msg = (
            f"{name} cannot be trained with {', '.join(refused)}; leave that out of "
            "fine_tune, or choose strategy naive, replay or pseudolabel_replay"
        )
        raise TrainingError(msg)
