"""The loss agrees with MACE's own, weighs frames as told, and adds up over parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.backbones.torch_types import default_dtype
from fire_core.config.training import TrainConfig
from fire_core.training.batches import Example
from fire_core.training.loss import (
    HUBER_DELTA,
    Totals,
    count_totals,
    gather_targets,
    weighted_loss,
)
from tests.training.conftest import labelled, make_backbone, make_network, rattled

if TYPE_CHECKING:
    from fire_core.backbones.mace_training import MaceNetwork

CONFIG = TrainConfig(energy_weight=2.0, forces_weight=7.0, stress_weight=3.0)


def examples_of(network: MaceNetwork, weights: list[float]) -> list[Example]:
    items = labelled(rattled("LiF", len(weights), 3), offset=-2.0)
    return [
        Example(network.graph(i.atoms), i.label, w)
        for i, w in zip(items, weights, strict=True)
    ]


def loss_of(
    network: MaceNetwork, examples: list[Example], totals: Totals | None = None
) -> float:
    import torch

    output = network.forward([e.graph for e in examples], stress=True)
    targets = gather_targets(examples, device="cpu", dtype=torch.float64)
    totals = totals or count_totals(examples)
    return float(weighted_loss(output, targets, CONFIG, totals).detach())


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
        weight=example.weight,
    )
    table = AtomicNumberTable([3, 9, 17])
    return AtomicData.from_config(config, z_table=table, cutoff=4.0)


def test_with_equal_weights_it_is_maces_universal_loss(network: MaceNetwork) -> None:
    from mace.modules import UniversalLoss

    examples = examples_of(network, [1.0] * 4)
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


def test_a_weight_multiplies_the_loss_of_its_frame_exactly(
    network: MaceNetwork,
) -> None:
    first, second = ([w, 0.0, 0.0] for w in (1.0, 0.2))
    ratio = loss_of(network, examples_of(network, second)) / loss_of(
        network, examples_of(network, first)
    )
    assert ratio == pytest.approx(0.2, rel=1e-12)


def test_parts_add_up_to_the_whole(network: MaceNetwork) -> None:
    examples = examples_of(network, [1.0, 0.5, 2.0, 1.0, 0.1])
    totals = count_totals(examples)
    parts = [examples[:1], examples[1:4], examples[4:]]
    added = sum(loss_of(network, part, totals) for part in parts)
    assert added == pytest.approx(loss_of(network, examples), rel=1e-12)
    assert np.isfinite(added)
