"""Every strategy's network: the foundation where it must be, free elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.backbones.mace_graphs import predict_graphs
from fire_core.backbones.mace_networks import (
    PRETRAINING_HEAD,
    TARGET_HEAD,
    build_network,
    finish_network,
    trainable_parameters,
)
from fire_core.config.training import LoraConfig, TrainConfig
from tests.models import load_mini
from tests.training.conftest import labelled, make_backbone, rattled

if TYPE_CHECKING:
    from fire_core.backbones.mace import MaceBackbone
    from fire_core.records import Label

TRAIN = labelled(rattled("LiF", 4, 1))
ROUNDING = 1e-10  # double precision


@pytest.fixture(scope="module")
def mini() -> MaceBackbone:
    return load_mini()


def build(backbone: MaceBackbone, **settings: Any) -> tuple[Any, TrainConfig]:
    config = TrainConfig(**settings)
    return build_network(backbone, config, TRAIN, seed=3), config


def labels_of(backbone: MaceBackbone, model: Any, head: int = 0) -> list[Label]:
    graphs = [backbone.graph(i.atoms, head=head) for i in TRAIN]
    return predict_graphs(model.eval(), graphs, backbone.device)


def differ(a: list[Label], b: list[Label]) -> float:
    return max(
        max(abs(x.energy - y.energy), float(np.abs(x.forces - y.forces).max()))
        for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "naive"},
        {"strategy": "replay", "freeze": ["embedding", "interactions"]},
        {"strategy": "replay", "lora": LoraConfig(rank=2)},
        {"strategy": "multihead_replay"},
        {"strategy": "multihead_replay", "lora": LoraConfig(rank=2)},
    ],
)
def test_before_training_it_is_the_foundation_model(
    mini: MaceBackbone, settings: dict[str, Any]
) -> None:
    model, config = build(mini, **settings)
    plain = labels_of(mini, mini.model)
    heads = [0, 1] if config.strategy == "multihead_replay" else [0]
    for head in heads:
        assert differ(labels_of(mini, model, head), plain) < ROUNDING
    finished = finish_network(model, config, mini)
    assert differ(labels_of(mini, finished), plain) < ROUNDING
    names = {name for name, _ in finished.named_parameters()}
    assert names == {name for name, _ in mini.model.named_parameters()}


def test_finishing_keeps_what_the_target_head_and_the_adapters_learnt(
    mini: MaceBackbone,
) -> None:
    import torch

    model, config = build(
        mini, strategy="multihead_replay", lora=LoraConfig(rank=2, alpha=2.0)
    )
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in trainable_parameters(model):
            parameter.add_(0.05 * torch.randn_like(parameter))
    target = labels_of(mini, model, TARGET_HEAD)
    assert differ(target, labels_of(mini, model, PRETRAINING_HEAD)) > 1e-3
    finished = finish_network(model, config, mini)
    assert differ(labels_of(mini, finished), target) < ROUNDING
    # the network that goes on training is not touched
    assert differ(labels_of(mini, model, TARGET_HEAD), target) < ROUNDING


def test_scratch_has_the_architecture_and_none_of_the_weights(
    mini: MaceBackbone,
) -> None:
    model, _ = build(mini, strategy="scratch")
    ours, theirs = dict(model.named_parameters()), dict(mini.model.named_parameters())
    assert {n: p.shape for n, p in ours.items()} == {
        n: p.shape for n, p in theirs.items()
    }
    drawn = [n for n in ours if ours[n].numel() > 100]
    assert len(drawn) > 5
    for name in drawn:
        assert np.corrcoef(ours[name].detach().ravel(), theirs[name].detach().ravel())[
            0, 1
        ] == pytest.approx(0.0, abs=0.3)
    again, _ = build(mini, strategy="scratch")
    assert differ(labels_of(mini, model), labels_of(mini, again)) == 0.0
    forces = np.concatenate([i.label.forces.ravel() for i in TRAIN])
    scale = float(model.scale_shift.scale)
    assert scale == pytest.approx(float(np.sqrt(np.mean(forces**2))))


@pytest.mark.parametrize(
    ("part", "prefixes"),
    [
        ("embedding", ("node_embedding", "radial_embedding")),
        ("interactions", ("interactions",)),
        ("products", ("products",)),
        ("readouts", ("readouts",)),
    ],
)
def test_a_frozen_part_does_not_ask_for_gradients(
    part: str, prefixes: tuple[str, ...]
) -> None:
    model, _ = build(make_backbone(), freeze=[part])
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith(prefixes)


def test_adapters_are_few_and_alone_are_trained(mini: MaceBackbone) -> None:
    model, _ = build(mini, lora=LoraConfig(rank=2))
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_A" in n or "lora_B" in n for n in trained)
    count = sum(p.numel() for p in trainable_parameters(model))
    assert count < 0.2 * sum(p.numel() for p in mini.model.parameters())
