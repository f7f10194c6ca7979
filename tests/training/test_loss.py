"""The loss agrees with MACE's own, weighs frames as told, and adds up over parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.config.training import TrainConfig
from fire_core.training.loss import HUBER_DELTA, count_totals, weighted_loss
from tests.training.conftest import labelled, make_backbone, rattled

if TYPE_CHECKING:
    from fire_core.backbones.mace import MaceBackbone

CONFIG = TrainConfig(energy_weight=2.0, forces_weight=7.0, stress_weight=3.0)


def graphs_of(backbone: MaceBackbone, weights: list[float]) -> list[Any]:
    items = labelled(rattled("LiF", len(weights), 3), offset=-2.0)
    return [
        backbone.graph(i.atoms, i.label, weight=w)
        for i, w in zip(items, weights, strict=True)
    ]


def loss_of(backbone: MaceBackbone, graphs: list[Any], totals: Any = None) -> float:
    from mace.tools.torch_geometric import Batch

    batch = Batch.from_data_list(graphs)
    output = backbone.model(batch.to_dict(), compute_stress=True)
    totals = totals or count_totals(graphs)
    return float(weighted_loss(output, batch, CONFIG, totals).detach())


def test_with_equal_weights_it_is_maces_universal_loss() -> None:
    from mace.modules import UniversalLoss
    from mace.tools.torch_geometric import Batch

    backbone = make_backbone(dtype="float64")
    graphs = graphs_of(backbone, [1.0] * 4)
    graphs[0].forces *= 400.0  # beyond every step of the conditional Huber loss
    graphs[1].stress_weight *= 0.0
    batch = Batch.from_data_list(graphs)
    output = backbone.model(batch.to_dict(), compute_stress=True)
    theirs = UniversalLoss(2.0, 7.0, 3.0, huber_delta=HUBER_DELTA)(batch, output)
    assert loss_of(backbone, graphs) == pytest.approx(float(theirs.detach()), rel=1e-12)


def test_a_weight_multiplies_the_loss_of_its_frame_exactly() -> None:
    backbone = make_backbone(dtype="float64")
    first, second = ([w, 0.0, 0.0] for w in (1.0, 0.2))
    ratio = loss_of(backbone, graphs_of(backbone, second)) / loss_of(
        backbone, graphs_of(backbone, first)
    )
    assert ratio == pytest.approx(0.2, rel=1e-12)


def test_parts_add_up_to_the_whole() -> None:
    backbone = make_backbone(dtype="float64")
    graphs = graphs_of(backbone, [1.0, 0.5, 2.0, 1.0, 0.1])
    totals = count_totals(graphs)
    parts = [graphs[:1], graphs[1:4], graphs[4:]]
    added = sum(loss_of(backbone, part, totals) for part in parts)
    assert added == pytest.approx(loss_of(backbone, graphs), rel=1e-12)
    assert np.isfinite(added)
