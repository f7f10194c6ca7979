"""The loss agrees with MACE's own, weighs frames as told, and adds up over parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.backbones.torch_types import default_dtype
from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.training.batches import Example
from fire_core.training.loss import (
    HUBER_DELTA,
    Shares,
    gather_targets,
    share_step,
    weighted_loss,
)
from tests.training.conftest import labelled, make_backbone, make_network, rattled

if TYPE_CHECKING:
    from fire_core.backbones.mace_training import MaceNetwork

CONFIG = TrainConfig(
    energy_weight=2.0,
    forces_weight=7.0,
    stress_weight=3.0,
    replay=ReplayConfig(ratio=2.0, weight=0.25),
)


def examples_of(
    network: MaceNetwork, n: int, *, replay: bool = False, repeat: int = 1
) -> list[Example]:
    symbols = "LiCl" if replay else "LiF"
    frames = [atoms.repeat((repeat, 1, 1)) for atoms in rattled(symbols, n, 3)]
    items = labelled(frames, offset=-2.0)
    return [Example(network.graph(i.atoms), i.label, replay) for i in items]


def differentiable_loss(
    network: MaceNetwork,
    examples: list[Example],
    shares: Shares | None = None,
    config: TrainConfig = CONFIG,
) -> Any:
    import torch

    output = network.forward([e.graph for e in examples], stress=True)
    shares = shares or share_step(examples, config)
    targets = gather_targets(examples, shares, device="cpu", dtype=torch.float64)
    return weighted_loss(output, targets, config)


def loss_of(network: MaceNetwork, examples: list[Example], **settings: Any) -> float:
    return float(differentiable_loss(network, examples, **settings).detach())


def gradient_of(
    network: MaceNetwork, examples: list[Example], config: TrainConfig = CONFIG
) -> Any:
    import torch

    network.module.zero_grad(set_to_none=True)
    differentiable_loss(network, examples, config=config).backward()
    return torch.cat(
        [
            p.grad.ravel().clone()
            for p in network.module.parameters()
            if p.grad is not None
        ]
    ).numpy()


@pytest.fixture
def network() -> MaceNetwork:
    return make_network(make_backbone(dtype="float64"))


def as_mace_has_it(examples: list[Example]) -> Any:
    """Return graphs with labels and weights as MACE's own data have them."""
    import torch
    from mace.tools.torch_geometric import Batch

    with default_dtype(torch.float64):
        return Batch.from_data_list([_maces(example) for example in examples])


def _maces(example: Example) -> Any:
    from mace.data import AtomicData, Configuration
    from mace.tools import AtomicNumberTable

    label = example.label
    has_stress = label.stress is not None
    properties = {"energy": label.energy, "forces": label.forces}
    atoms = rattled("LiF", 1, 0)[0]  # of the same elements and cell
    config = Configuration(
        atomic_numbers=atoms.numbers,
        positions=example.graph.positions.numpy(),
        properties=properties | ({"stress": label.stress} if has_stress else {}),
        property_weights={"stress": 1.0 if has_stress else 0.0},
        cell=atoms.cell.array,
        pbc=(True, True, True),
        weight=1.0,
    )
    table = AtomicNumberTable([3, 9, 17])
    return AtomicData.from_config(config, z_table=table, cutoff=4.0)


def test_with_equal_weights_it_is_maces_universal_loss(network: MaceNetwork) -> None:
    from mace.modules import UniversalLoss

    examples = examples_of(network, 4)
    labels = [example.label for example in examples]
    # beyond every step of the conditional Huber loss; and one without a stress
    labels[0] = replace(labels[0], forces=400.0 * labels[0].forces)
    labels[1] = replace(labels[1], stress=None)
    examples = [replace(e, label=x) for e, x in zip(examples, labels, strict=True)]
    batch = as_mace_has_it(examples)
    output = network.module(batch.to_dict(), compute_stress=True)
    theirs = UniversalLoss(2.0, 7.0, 3.0, huber_delta=HUBER_DELTA)(batch, output)
    assert loss_of(network, examples) == pytest.approx(
        float(theirs.detach()), rel=1e-12
    )


@pytest.mark.parametrize("repeat", [1, 3])
@pytest.mark.parametrize("n_replay", [1, 3])
def test_a_step_is_its_target_and_weight_times_ratio_of_its_replay(
    network: MaceNetwork, repeat: int, n_replay: int
) -> None:
    """On the gradients themselves: frames of 24 atoms beside frames of 8 as well."""
    target = examples_of(network, 2, repeat=repeat)
    rehearsed = examples_of(network, n_replay, replay=True)
    for weight, ratio in ((1.0, 1.0), (0.25, 2.0), (0.25, 4.0)):
        config = CONFIG.model_copy(
            update={"replay": ReplayConfig(weight=weight, ratio=ratio)}
        )
        alone = gradient_of(network, target, config)
        replay = gradient_of(network, rehearsed, config)
        both = gradient_of(network, [*target, *rehearsed], config)
        assert np.abs(replay).max() > 1e-6
        assert both == pytest.approx(alone + replay, rel=1e-9, abs=1e-13)
        # the replay's own part is weight × ratio of what it is as a target
        as_target = [replace(example, replay=False) for example in rehearsed]
        expected = weight * ratio * gradient_of(network, as_target, config)
        assert replay == pytest.approx(expected, rel=1e-9, abs=1e-13)


def test_many_replay_frames_weigh_what_few_of_them_weigh(network: MaceNetwork) -> None:
    target = examples_of(network, 1, repeat=3)
    (rehearsed,) = examples_of(network, 1, replay=True)
    once = gradient_of(network, [*target, rehearsed])
    assert gradient_of(network, [*target, *[rehearsed] * 5]) == pytest.approx(
        once, rel=1e-9, abs=1e-13
    )


def test_parts_add_up_to_the_whole(network: MaceNetwork) -> None:
    examples = [
        *examples_of(network, 2, repeat=2),
        *examples_of(network, 3, replay=True),
    ]
    shares = share_step(examples, CONFIG)
    parts = [examples[:1], examples[1:4], examples[4:]]
    added = sum(loss_of(network, part, shares=shares) for part in parts)
    assert added == pytest.approx(loss_of(network, examples), rel=1e-12)
    assert np.isfinite(added)
