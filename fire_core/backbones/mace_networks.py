"""The MACE network that a strategy trains, and the single-headed model it leaves.

Scratch draws new weights for the foundation's architecture; multi-head replay gives it
a second readout head; frozen parts and low-rank adapters limit what may change.
"""

from __future__ import annotations

import copy
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import atomic_numbers

from fire_core.backbones.kernels.cuequivariance import (
    from_cuequivariance,
    to_cuequivariance,
)
from fire_core.backbones.mace_elements import train_elements_alone
from fire_core.backbones.torch_types import default_dtype
from fire_core.backbones.trainable import adapts_elements, elements_of
from fire_core.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fire_core.backbones.mace_graphs import LoadedMace
    from fire_core.backbones.trainable import Trainable
    from fire_core.config.steps import Kernels
    from fire_core.config.training import TrainConfig
    from fire_core.records import LabelledStructure

PRETRAINING_HEAD: Final = 0
TARGET_HEAD: Final = 1
HEADS: Final = ("pretraining", "target")
PARTS: Final = {
    "embedding": ("node_embedding", "radial_embedding"),
    "interactions": ("interactions",),
    "products": ("products",),
    "readouts": ("readouts",),
}
OF_HEADS: Final = ("readouts.", "scale_shift.", "atomic_energies_fn.")


def build_network(
    backbone: LoadedMace,
    config: TrainConfig,
    train: Sequence[LabelledStructure],
    seed: int,
    start: Trainable | None = None,
) -> Any:
    """Return the network to optimise; what may change asks for gradients.

    Its layers are the backbone's (`kernels_of`).

    Parameters
    ----------
    backbone
        Foundation model; not changed.
    config
        Strategy, frozen parts, adapters.
    train
        Target structures; scratch takes the scale of forces and the number of
        neighbours from them.
    seed
        Source of new weights.
    start
        Fine-tuned model whose weights are gone on from, on the foundation's atomic
        energies; None: the foundation model.

    Raises
    ------
    TrainingError
        The architecture cannot be rebuilt by this mace-torch, or `start` has another
        one.
    """
    with _seeded(backbone, seed):
        if config.strategy == "scratch":
            model = _with_new_weights(backbone, train)
        elif config.strategy == "multihead_replay":
            model = _with_two_heads(backbone)
        else:
            model = _with_weights_of(start, backbone)
        model = model.to(device=backbone.device, dtype=backbone.dtype)
        if kernels_of(backbone, config) == "cuequivariance":
            model = to_cuequivariance(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not _is_frozen(name, config))
        if adapts_elements(backbone, config):
            known = {int(z): i for i, z in enumerate(model.atomic_numbers)}
            symbols = sorted(elements_of(train))
            train_elements_alone(model, [known[atomic_numbers[s]] for s in symbols])
        if config.lora is not None:
            from mace.modules.lora import inject_LoRAs

            inject_LoRAs(model, rank=config.lora.rank, alpha=config.lora.alpha)
            model = model.to(device=backbone.device, dtype=backbone.dtype)
    return model


def _with_weights_of(start: Trainable | None, backbone: LoadedMace) -> Any:
    """Return the foundation model, its weights replaced by those of `start`."""
    model = copy.deepcopy(backbone.model)
    if start is None:
        return model
    energies = model.atomic_energies_fn.atomic_energies.clone()
    try:
        model.load_state_dict(start.model.state_dict())  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError) as error:  # no MACE model, or another one
        msg = (
            f"the model of the round before cannot be gone on from: {start.name} has "
            f"not the architecture of {backbone.name}; leave out warm_start"
        )
        raise TrainingError(msg) from error
    model.atomic_energies_fn.atomic_energies.copy_(energies)
    return model


def kernels_of(backbone: LoadedMace, config: TrainConfig) -> Kernels:
    """Return whose layers are trained.

    Adapters go into MACE's own; so do trainings of single elements' weights, whose
    places cuEquivariance changes.
    """
    own = config.lora is not None or adapts_elements(backbone, config)
    return "fire" if own else backbone.kernels


def fast_twin(model: Any, kernels: Kernels) -> Any:
    """Return what computes the network: it, or a twin on its weights."""
    from fire_core.backbones.kernels.accelerate import accelerate

    return model if kernels == "cuequivariance" else accelerate(model)


def trainable_parameters(model: Any) -> list[Any]:
    """Return the parameters that may change, in the model's order."""
    return [p for p in model.parameters() if p.requires_grad]


def finish_network(model: Any, config: TrainConfig, backbone: LoadedMace) -> Any:
    """Return a copy in MACE's layers, adapters merged, with the target's head alone."""
    finished = copy.deepcopy(model)
    with _seeded(backbone, 0):
        if kernels_of(backbone, config) == "cuequivariance":
            finished = from_cuequivariance(finished)
        if config.lora is not None:
            from mace.modules.lora import merge_lora_weights

            finished = merge_lora_weights(finished)
        if config.strategy == "multihead_replay":
            from mace.tools.scripts_utils import remove_pt_head

            finished = remove_pt_head(finished, HEADS[TARGET_HEAD])
    return finished.to(device=backbone.device, dtype=backbone.dtype)


def head_of(config: TrainConfig, *, target: bool) -> int:
    """Return the number of the head that a frame is trained on."""
    if config.strategy != "multihead_replay":
        return 0
    return TARGET_HEAD if target else PRETRAINING_HEAD


def _is_frozen(name: str, config: TrainConfig) -> bool:
    return any(name.startswith(f"{p}.") for part in config.freeze for p in PARTS[part])


def _with_new_weights(backbone: LoadedMace, train: Sequence[LabelledStructure]) -> Any:
    """Return the architecture with random weights, scaled to the target's forces.

    The atomic energies are kept: the fitted references already bring the target's
    energies to the foundation's scale, on which the new interaction energy starts
    near zero.
    """
    forces = np.concatenate([item.label.forces.ravel() for item in train])
    changes = {
        "atomic_inter_scale": max(float(np.sqrt(np.mean(forces**2))), 1e-3),
        "atomic_inter_shift": 0.0,
        "avg_num_neighbors": _mean_neighbours(backbone, train),
    }
    return _rebuild(backbone.model, changes)


def _mean_neighbours(backbone: LoadedMace, train: Sequence[LabelledStructure]) -> float:
    graphs = [backbone.graph(item.atoms) for item in train[:20]]
    edges = sum(int(graph.edge_index.shape[1]) for graph in graphs)
    return max(edges / sum(int(graph.num_nodes) for graph in graphs), 1.0)


def _with_two_heads(backbone: LoadedMace) -> Any:
    """Return the model with two readout heads, both equal to the foundation's one."""
    from mace.tools import AtomicNumberTable
    from mace.tools.finetuning_utils import load_foundations_elements

    model = backbone.model
    energies = model.atomic_energies_fn.atomic_energies.detach().cpu().numpy()
    scale, shift = (
        float(np.ravel(getattr(model.scale_shift, name).detach().cpu())[0])
        for name in ("scale", "shift")
    )
    twin = _rebuild(
        model,
        {
            "heads": list(HEADS),
            "atomic_energies": np.repeat(energies.reshape(1, -1), len(HEADS), axis=0),
            "atomic_inter_scale": [scale] * len(HEADS),
            "atomic_inter_shift": [shift] * len(HEADS),
        },
    )
    table = AtomicNumberTable(backbone.numbers)
    largest = max(ir.l for _, ir in model.products[0].linear.irreps_out)
    load_foundations_elements(twin, model, table, load_readout=True, max_L=largest)
    shared = {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith(OF_HEADS)
    }
    twin.load_state_dict(shared, strict=False)
    return twin


def _rebuild(model: Any, changes: dict[str, Any]) -> Any:
    """Return a new model of the same class and architecture with some changes."""
    from mace.tools.scripts_utils import extract_config_mace_model

    settings = extract_config_mace_model(model)
    if "error" in settings:
        msg = (
            f"mace-torch cannot rebuild a {type(model).__name__}: "
            f"{settings['error']}; choose strategy naive, replay or pseudolabel_replay"
        )
        raise TrainingError(msg)
    settings["atomic_numbers"] = [int(z) for z in settings["atomic_numbers"]]
    return type(model)(**(settings | changes))


@contextmanager
def _seeded(backbone: LoadedMace, seed: int) -> Iterator[None]:
    """Draw weights from `seed` in the backbone's type, leaving torch's state alone."""
    import torch

    with (
        torch.random.fork_rng(),
        default_dtype(backbone.dtype),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # notes of e3nn on what torch deprecates
        torch.manual_seed(seed)
        yield
