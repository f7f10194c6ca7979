"""Rates and weights of each epoch, with a second stage and without."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from fire_core.config.training import SecondStageConfig, TrainConfig
from fire_core.training.data import TrainingData, identify
from fire_core.training.schedule import Schedule
from fire_core.training.trainer import fine_tune
from tests.training.conftest import labelled, make_backbone, rattled

TWO = SecondStageConfig(part=0.3, energy_weight=50.0, stress_weight=2.0)


def test_one_stage_is_warmed_up_and_annealed_to_a_hundredth() -> None:
    schedule = Schedule.of(TrainConfig(epochs=20, learning_rate=1e-2))
    rates = [schedule.rate(e) for e in np.linspace(0, 20, 201)]
    assert rates[0] == pytest.approx(5e-4)
    assert max(rates) == pytest.approx(1e-2) == schedule.rate(1.0)
    assert rates[-1] == pytest.approx(1e-4)
    assert (np.diff(rates[10:]) <= 0).all()
    assert schedule.weights(19) is schedule.config


def test_the_second_stage_weighs_energies_at_a_low_rate() -> None:
    config = TrainConfig(epochs=10, learning_rate=1e-2, second_stage=TWO)
    schedule = Schedule.of(config)
    assert schedule.first == 7
    assert schedule.rate(7 - 1e-9) == pytest.approx(1e-4)
    assert schedule.rate(7) == pytest.approx(1e-3)
    assert schedule.rate(10) == pytest.approx(1e-5)
    assert [schedule.weights(e).energy_weight for e in (0, 6, 7, 9)] == [1, 1, 50, 50]
    assert schedule.weights(8).stress_weight == 2.0
    own = config.model_copy(
        update={"second_stage": TWO.model_copy(update={"learning_rate": 3e-4})}
    )
    assert Schedule.of(own).rate(7) == pytest.approx(3e-4)


def test_both_stages_have_an_epoch_at_least() -> None:
    for epochs, part, first in (
        (2, 0.01, 1),
        (2, 0.99, 1),
        (3, 0.9, 1),
        (40, 0.25, 30),
    ):
        stage = SecondStageConfig(part=part)
        config = TrainConfig(epochs=epochs, second_stage=stage)
        assert Schedule.of(config).first == first
    with pytest.raises(ValidationError, match="at least two epochs"):
        TrainConfig(epochs=1, second_stage=TWO)


def test_energies_gain_by_the_second_stage_and_it_resumes_exactly() -> None:
    """Labels of another model: the energy error falls below that of one stage."""
    backbone = make_backbone(dtype="float64")
    frames = rattled("LiF", 12, 1)
    teacher = make_backbone(seed=5, dtype="float64").predict(frames)
    items = [
        type(i)(i.key, i.atoms, label, i.theory)
        for i, label in zip(labelled(frames), teacher, strict=True)
    ]
    data = TrainingData(items, items, [], [])
    one = TrainConfig(strategy="naive", epochs=8, learning_rate=5e-3, ema_decay=0.9)
    two = one.model_copy(update={"second_stage": SecondStageConfig(part=0.5)})
    kept: list[bytes] = []
    plain = fine_tune(backbone, data, one, seed=1)
    staged = fine_tune(
        backbone, data, two, seed=1, on_epoch=lambda _, state: kept.append(state)
    )
    assert staged.records[2].learning_rate != plain.records[2].learning_rate
    energies = [t.records[-1].valid.energy_rmse for t in (plain, staged)]
    assert energies[1] < 0.9 * energies[0]
    for done in (3, 5):  # in each stage
        again = fine_tune(backbone, data, two, seed=1, checkpoint=kept[done])
        assert again.records[-1].valid == staged.records[-1].valid


def test_trainings_of_before_are_still_known() -> None:
    """A setting that came later and is left out enters no identity."""
    backbone, items = make_backbone(), labelled(rattled("LiF", 2, 1))
    data = TrainingData(items, items, [], [])
    config = TrainConfig(strategy="naive")
    assert "second_stage" not in json.loads(
        config.model_dump_json(exclude=config.without_effect)
    )
    staged = config.model_copy(update={"second_stage": TWO})
    assert identify(backbone, data, config, 1) != identify(backbone, data, staged, 1)
    assert "second_stage" not in staged.without_effect
