"""Trainings that go on from the model of the round before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydantic import ValidationError

from fire_core.config.training import TrainConfig
from fire_core.errors import TrainingError
from fire_core.training.trainer import fine_tune
from tests.training.conftest import make_backbone
from tests.training.test_trainer import make_data, reload

if TYPE_CHECKING:
    from fire_core.backbones.mace import MaceBackbone

CONFIG = TrainConfig(
    strategy="naive",
    epochs=25,
    batch_frames=2,
    learning_rate=5e-3,
    ema_decay=0.5,
    warm_start=True,
)


def test_it_goes_on_where_the_first_one_ended(backbone: MaceBackbone) -> None:
    data = make_data(offset=3.0)
    tuned = fine_tune(backbone, data, CONFIG, seed=1)
    first = reload(tuned, backbone)
    short = CONFIG.model_copy(update={"epochs": 1, "learning_rate": 1e-9})
    still = fine_tune(backbone, replace(data, start=first), short, seed=2)
    frames = [item.atoms for item in data.train]
    pairs = list(
        zip(reload(still, backbone).predict(frames), first.predict(frames), strict=True)
    )
    # a rate of nothing leaves the model of the round before, energies and all
    assert max(abs(a.energy - b.energy) for a, b in pairs) < 1e-3
    assert max(float(np.abs(a.forces - b.forces).max()) for a, b in pairs) < 1e-4
    once = CONFIG.model_copy(update={"epochs": 1})
    cold = fine_tune(backbone, data, once, seed=2)
    warm = fine_tune(backbone, replace(data, start=first), once, seed=2)
    reached = tuned.records[-1].valid.force_rmse
    assert warm.records[0].valid.force_rmse < 1.05 * reached
    assert cold.records[0].valid.force_rmse > 1.15 * reached


def test_a_checkpoint_of_a_cold_start_is_not_taken_for_a_warm_one(
    backbone: MaceBackbone,
) -> None:
    data, kept = make_data(), []
    first = reload(
        fine_tune(
            backbone, data, CONFIG, seed=1, on_epoch=lambda _, state: kept.append(state)
        ),
        backbone,
    )
    with pytest.raises(TrainingError, match="the checkpoint is of training"):
        fine_tune(
            backbone, replace(data, start=first), CONFIG, seed=1, checkpoint=kept[0]
        )


def test_another_architecture_is_refused(backbone: MaceBackbone) -> None:
    other = make_backbone(hidden="4x0e")
    with pytest.raises(TrainingError, match="has not the architecture of"):
        fine_tune(backbone, replace(make_data(), start=other), CONFIG, seed=1)


@pytest.mark.parametrize("strategy", ["scratch", "multihead_replay"])
def test_strategies_without_a_warm_start_say_so(strategy: str) -> None:
    with pytest.raises(ValidationError, match=f"does not go with {strategy}"):
        TrainConfig.model_validate({"strategy": strategy, "warm_start": True})
