"""A model with cuEquivariance's layers is the same model, and comes back exactly."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.backbones.base import mean_features
from fire_core.backbones.kernels.cuequivariance import (
    from_cuequivariance,
    is_ready,
    to_cuequivariance,
)
from fire_core.backbones.mace import MaceBackbone
from fire_core.backbones.registry import load_backbone
from fire_core.config.training import LoraConfig, TrainConfig
from fire_core.errors import BackboneError
from fire_core.evaluation.errors import summarise_errors
from fire_core.training.checkpoints import recorded_layout
from fire_core.training.data import TrainingData
from fire_core.training.trainer import FineTuned, fine_tune
from tests.training.conftest import labelled, make_backbone, rattled

if TYPE_CHECKING:
    from fire_core.records import Label

ROUNDING = 1e-10  # double precision, through another order of sums


def with_other_layers(backbone: MaceBackbone) -> MaceBackbone:
    return MaceBackbone(
        backbone.model,
        name=backbone.name,
        sha256=backbone.sha256,
        device="cpu",
        dtype=str(backbone.dtype)[6:],
        kernels="cuequivariance",
    )


def largest_difference(ours: list[Label], theirs: list[Label]) -> float:
    return max(
        max(
            abs(a.energy - b.energy),
            float(np.abs(a.forces - b.forces).max()),
            float(np.abs(np.asarray(a.stress) - np.asarray(b.stress)).max()),
        )
        for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("hidden", ["8x0e", "8x0e+8x1o"])
def test_predictions_agree_and_weights_come_back_exactly(hidden: str) -> None:
    import torch

    plain = make_backbone(dtype="float64", hidden=hidden)
    frames = [*rattled("LiF", 3, 1), *rattled("LiCl", 2, 2)]
    other = with_other_layers(plain)
    layers = {type(layer).__module__.split(".")[0] for layer in other.fast.modules()}
    assert "cuequivariance_torch" in layers
    found = largest_difference(other.predict(frames), plain.predict(frames))
    assert found < ROUNDING
    features = (mean_features(model, frames) for model in (other, plain))
    assert np.allclose(*features, atol=ROUNDING)
    back = from_cuequivariance(to_cuequivariance(plain.model)).state_dict()
    for name, tensor in plain.model.state_dict().items():
        assert torch.allclose(back[name].double(), tensor.double(), atol=1e-14), name


def make_data() -> TrainingData:
    return TrainingData(
        train=labelled(rattled("LiF", 6, 1), offset=-2.0),
        valid=labelled(rattled("LiF", 3, 2), offset=-2.0),
        replay=labelled(rattled("LiCl", 6, 3), epsilon=0.05),
        heldout=labelled(rattled("LiCl", 3, 4), epsilon=0.05),
    )


def train(backbone: MaceBackbone, config: TrainConfig) -> FineTuned:
    return fine_tune(backbone, make_data(), config, seed=1)


def reloaded(tuned: FineTuned) -> MaceBackbone:
    import torch

    model = torch.load(io.BytesIO(tuned.model), weights_only=False)
    return MaceBackbone(model, name="t", sha256="0", device="cpu", dtype="float64")


@pytest.mark.parametrize("strategy", ["replay", "multihead_replay"])
def test_what_was_trained_on_them_is_saved_in_maces_own_layers(strategy: str) -> None:
    config = TrainConfig.model_validate(
        {"strategy": strategy, "epochs": 4, "batch_frames": 2, "learning_rate": 5e-3}
    )
    backbone = with_other_layers(make_backbone(dtype="float64"))
    tuned = train(backbone, config)
    first, last = tuned.records[0].valid, tuned.records[-1].valid
    assert last.force_rmse < first.force_rmse
    saved, valid = reloaded(tuned), make_data().valid
    errors = summarise_errors(saved.predict([i.atoms for i in valid]), valid)
    assert errors.force_rmse == pytest.approx(last.force_rmse, rel=1e-9)
    assert errors.energy_rmse == pytest.approx(last.energy_rmse, rel=1e-6)


def test_frozen_parts_stay_and_adapters_take_maces_layers() -> None:
    import torch

    backbone = with_other_layers(make_backbone(dtype="float64"))
    settings = {"strategy": "naive", "epochs": 1, "batch_frames": 2}
    frozen = TrainConfig.model_validate({**settings, "freeze": ["products"]})
    after = dict(reloaded(train(backbone, frozen)).model.named_parameters())
    for name, before in backbone.model.named_parameters():
        same = torch.allclose(after[name], before, atol=1e-14)
        assert same is name.startswith("products."), name
    adapted = train(backbone, TrainConfig(**settings, lora=LoraConfig(rank=2)))
    plain = train(
        make_backbone(dtype="float64"),
        TrainConfig(**settings, lora=LoraConfig(rank=2)),
    )
    assert adapted.records[-1].valid.force_rmse == pytest.approx(
        plain.records[-1].valid.force_rmse, rel=1e-9
    )


TWO_EPOCHS = TrainConfig(strategy="naive", epochs=2, batch_frames=2)


def states_of(backbone: MaceBackbone) -> tuple[FineTuned, list[bytes]]:
    states: list[bytes] = []
    tuned = fine_tune(
        backbone,
        make_data(),
        TWO_EPOCHS,
        seed=1,
        on_epoch=lambda _, state: states.append(state),
    )
    return tuned, states


@pytest.mark.parametrize("theirs_first", [False, True])
def test_a_training_goes_on_with_the_layers_that_it_began_with(
    *, theirs_first: bool
) -> None:
    """`auto` becomes one thing on one worker and the other on the next."""
    plain = make_backbone(dtype="float64")
    began, goes_on = plain, with_other_layers(make_backbone(dtype="float64"))
    if theirs_first:
        began, goes_on = goes_on, began
    whole, states = states_of(began)
    assert recorded_layout(states[0]) == began.layout
    again = fine_tune(goes_on, make_data(), TWO_EPOCHS, seed=1, checkpoint=states[0])
    for one, two in zip(whole.records, again.records, strict=True):
        assert replace(two, seconds=one.seconds) == one
    assert goes_on.layout != began.layout  # the caller's model is what it was


def test_without_its_layers_a_training_says_where_it_can_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, states = states_of(with_other_layers(make_backbone(dtype="float64")))
    monkeypatch.setitem(sys.modules, "cuequivariance_torch", None)
    plain = make_backbone(dtype="float64")
    with pytest.raises(BackboneError, match=r"only go on with.*start it again"):
        fine_tune(plain, make_data(), TWO_EPOCHS, seed=1, checkpoint=states[0])


def test_they_are_taken_by_themselves_only_on_a_gpu() -> None:
    import torch

    backbone: Any = load_backbone("fire-mini", device="cpu")
    assert (backbone.kernels, backbone.layout) == ("fire", "")
    assert not is_ready(torch.device("cpu"))


def test_where_they_are_missing_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cuequivariance_torch", None)
    with pytest.raises(BackboneError, match=r"fire-mlip\[cuequivariance\]"):
        load_backbone("fire-mini", device="cpu", kernels="cuequivariance")
