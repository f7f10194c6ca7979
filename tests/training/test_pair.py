"""An outsider's potential of a few parameters is fine-tuned by the same trainer."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest

from fire_core.backbones.base import need_dynamics
from fire_core.backbones.registry import (
    has_file,
    is_published,
    known_elements,
    load_backbone,
    load_configured,
    model_file,
)
from fire_core.backbones.trainable import need_trainable
from fire_core.config.steps import BackboneConfig
from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.errors import BackboneError, TrainingError
from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.gates.reload import gate_reload
from fire_core.training.trainer import fine_tune
from tests.training.test_trainer import make_data

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for a package whose entry point names `load_pair`."""
    module = "tests.plugin.src.fire_plugin_example.backbone"
    point = EntryPoint("pair", f"{module}:load_pair", "fire.backbones")
    monkeypatch.setattr("fire_core.extensions._entry_points", lambda _: (point,))


@pytest.mark.parametrize("strategy", ["naive", "replay", "pseudolabel_replay"])
def test_every_strategy_it_has_brings_its_error_down(
    strategy: str, tmp_path: Path
) -> None:
    foundation = need_trainable(load_backbone("pair", dtype="float64"))
    data = make_data(offset=-5.0)
    config = TrainConfig.model_validate(
        {"strategy": strategy, "epochs": 30, "batch_frames": 2, "ema_decay": 0.5}
        | {"learning_rate": 2e-2, "replay": {"ratio": 0.5}}
    )
    tuned = fine_tune(foundation, data, config, seed=1)
    assert tuned.records[-1].n_replay == (0 if strategy == "naive" else 4)
    path = tmp_path / "tuned"
    path.write_bytes(tuned.model)
    model = load_configured(BackboneConfig(name="pair", dtype="float64"), 1, path)
    frames = [item.atoms for item in data.valid]
    before, after = (
        summarise_errors(m.predict(frames), data.valid) for m in (foundation, model)
    )
    assert after.force_rmse < 0.3 * before.force_rmse
    assert after.energy_rmse < 0.1 * before.energy_rmse
    assert after.force_rmse == pytest.approx(tuned.records[-1].valid.force_rmse)
    assert gate_reload(need_trainable(model), frames).passed


def test_what_only_some_models_have_is_refused_by_name() -> None:
    foundation = load_backbone("pair")
    config = TrainConfig(epochs=1, replay=ReplayConfig(draw="diverse", pool=3))
    with pytest.raises(BackboneError, match=r"replay\.draw: diverse needs features"):
        fine_tune(foundation, make_data(), config, seed=1)
    settings = TrainConfig.model_validate({"epochs": 1, "lora": {}})
    with pytest.raises(TrainingError, match=r"pair cannot be trained with lora"):
        fine_tune(foundation, make_data(), settings, seed=1)
    with pytest.raises(BackboneError, match="pair cannot drive batched dynamics"):
        need_dynamics(foundation)


def test_its_name_and_its_files_are_the_familys(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    need_trainable(load_backbone("pair")).save(path)
    assert load_backbone(f"pair:{path}").name == "pair"
    assert model_file(f"pair:{path}") == path
    assert model_file("pair") is None
    assert (has_file(f"pair:{path}"), has_file("pair")) == (True, False)
    assert not is_published("pair")
    assert known_elements("pair") == {"Li", "F", "Cl"}
    with pytest.raises(BackboneError, match=r"expected pair, or pair: and the path"):
        load_backbone("pair:nowhere")
    with pytest.raises(BackboneError, match=r"unknown backbone 'par'.*chgnet, .*pair"):
        load_backbone("par")
