"""Trainings of published models take what they leave out from their authors' advice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ase.build import bulk

from fire_core.backbones.registry import MACE_NAMES
from fire_core.campaign.state import read_config
from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_to_json, parse_campaign, parse_study
from fire_core.config.recipes import FILES, LOSS, METHODS, recipe_of, with_recipe
from fire_core.config.training import ORIGIN, LoraConfig, TrainConfig
from fire_core.errors import StoreError
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from fire_core.training.data import TrainingData, identify
from tests.training.conftest import make_backbone

if TYPE_CHECKING:
    from pathlib import Path

MPA0 = "medium-mpa-0"
CAMPAIGN: dict[str, Any] = {
    "name": "mini",
    "system": {
        "kind": "interface",
        "bottom": {"crystal": "LiCl"},
        "top": {"crystal": "GaF3"},
    },
    "backbone": {"name": MPA0},
}


def test_every_published_name_and_file_has_a_recipe() -> None:
    assert set(LOSS) == set(MACE_NAMES) == set(FILES.values())
    fields = set(TrainConfig.model_fields)
    for name in MACE_NAMES:
        for method in METHODS:
            assert set(recipe_of(name, method)) <= fields
    assert recipe_of("/models/mace-mpa-0-medium.model", "naive") == recipe_of(
        MPA0, "naive"
    )
    for other in ("fire-mini", "chgnet", "sevennet-0", "/models/mine.model"):
        assert recipe_of(other, "naive") == {}


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"strategy": "naive"}, (1e-3, 0.999, 1.0)),
        ({"strategy": "naive", "freeze": ("embedding",)}, (1e-3, 0.999, 1.0)),
        ({}, (1e-3, 0.999, 1.0)),
        ({"strategy": "scratch"}, (1e-2, 0.99, 10.0)),
        ({"strategy": "naive", "lora": LoraConfig()}, (1e-2, 0.99, 10.0)),
        ({"strategy": "multihead_replay"}, (1e-4, 0.9999, 1.0)),
        ({"strategy": "multihead_replay", "lora": LoraConfig()}, (1e-4, 0.9999, 1.0)),
    ],
)
def test_the_method_decides_the_numbers_that_the_authors_give(
    training: dict[str, Any], expected: tuple[float, float, float]
) -> None:
    """The table of mace's guide to fine-tuning."""
    config = with_recipe(TrainConfig(**training), MPA0)
    assert (config.learning_rate, config.ema_decay, config.clip) == expected
    assert (config.weight_decay, config.batch_frames) == (0.0, 2)
    weights = config.energy_weight, config.forces_weight, config.stress_weight
    assert weights == (1.0, 10.0, 10.0)
    assert with_recipe(config, MPA0) == config


def test_a_campaign_takes_what_it_leaves_out_and_says_so() -> None:
    told = {"fine_tune": {"learning_rate": 5e-4, "epochs": 3}}
    config = parse_campaign(CAMPAIGN | told)
    assert (config.fine_tune.learning_rate, config.fine_tune.clip) == (5e-4, 1.0)
    assert config.fine_tune.epochs == 3
    assert "learning_rate" not in config.fine_tune.from_recipe
    assert {"clip", "ema_decay"} <= set(config.fine_tune.from_recipe)
    assert config.pre_fine_tune.learning_rate == 1e-3
    assert CampaignConfig.model_validate_json(config_to_json(config)) == config
    default = TrainConfig(recipe="none")
    assert (
        parse_campaign(CAMPAIGN | {"fine_tune": {"recipe": "none"}}).fine_tune
        == default
    )
    mini = parse_campaign(CAMPAIGN | {"backbone": {"name": "fire-mini"}})
    assert mini.fine_tune == TrainConfig()


def test_each_variant_of_a_study_follows_its_own_methods_recipe() -> None:
    study = parse_study(
        {
            "name": "mini",
            "data": [{"path": "a.extxyz"}],
            "test": {"last": 3},
            "backbone": {"name": MPA0},
            "train": {"epochs": 7, "clip": 3.0},
            "variants": {
                "naive": {"strategy": "naive"},
                "heads": {"strategy": "multihead_replay"},
                "mine": {"learning_rate": 0.5},
                "fire": None,
            },
        }
    )
    rates = {name: v.learning_rate for name, v in study.variants.items()}
    assert rates == {"naive": 1e-3, "heads": 1e-4, "mine": 0.5, "fire": 1e-3}
    assert {v.clip for v in study.variants.values()} == {3.0}
    assert study.variants["fire"] == study.train
    assert parse_study(json.loads(config_to_json(study))) == study


def test_what_is_trained_is_told_by_values_not_by_where_they_come_from() -> None:
    """So that the checkpoints of before there were recipes are gone on with."""
    backbone = make_backbone()
    nothing = TrainingData([], [], [], [])
    taken = with_recipe(TrainConfig(), MPA0)
    plain = TrainConfig.model_validate(taken.model_dump(exclude=set(ORIGIN)))
    assert taken != plain
    assert identify(backbone, nothing, taken, 1) == identify(
        backbone, nothing, plain, 1
    )
    other = plain.model_copy(update={"clip": 9.0})
    assert identify(backbone, nothing, other, 1) != identify(
        backbone, nothing, plain, 1
    )


def test_a_campaign_of_before_there_were_recipes_goes_on_as_it_was(
    tmp_path: Path,
) -> None:
    """The same file, opened again by this FIRE, as often as one likes."""
    config = parse_campaign(CAMPAIGN)
    old = json.loads(config_to_json(config))
    for key in ("pre_fine_tune", "fine_tune"):
        old[key] = TrainConfig().model_dump(mode="json", exclude=set(ORIGIN))
    with Store.open(f"sqlite:///{tmp_path}/fire.db", tmp_path / "blobs") as store:
        store.campaigns.open("mini", json.dumps(old))
        keys = store.structures.add([bulk("LiCl", "rocksalt", a=5.1)], source="t")
        store.selections.save("mini", 0, "perturb", SelectionRow("perturb", keys))
        for _ in range(2):
            row = store.campaigns.open("mini", config_to_json(config))
            kept = read_config(row)
            default = TrainConfig(recipe="none")
            assert kept.fine_tune == kept.pre_fine_tune == default
        changed = parse_campaign(CAMPAIGN | {"fine_tune": {"clip": 2.0}})
        with pytest.raises(StoreError, match=r"fine_tune.clip: 10.0 there, 2.0 now"):
            store.campaigns.open("mini", config_to_json(changed))
        new = replace(row, config_json=json.dumps(old))
        assert read_config(new).fine_tune.learning_rate == TrainConfig().learning_rate
