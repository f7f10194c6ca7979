"""Study files: variants filled up from `train`, every mistake explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from fire_core.config.load import config_to_json, load_study, parse_study, study_schema
from fire_core.config.study import STORED, StudyConfig
from fire_core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = {
    "name": "mini",
    "data": [{"path": "a.extxyz"}],
    "test": {"last": 3},
    "train": {"epochs": 7, "replay": {"source": "r.extxyz"}, "stopping": {}},
    "variants": {
        "naive": {"strategy": "naive"},
        "fire": {"replay": {"ratio": 2}, "stopping": None},
        "plain": None,
    },
}


def test_a_variant_is_train_with_its_own_keys_over_it() -> None:
    config = parse_study(MINIMAL)
    fire, naive = config.variants["fire"], config.variants["naive"]
    assert (fire.epochs, fire.replay.ratio, fire.replay.source) == (7, 2, "r.extxyz")
    assert fire.stopping is None
    assert naive.stopping is not None
    assert naive.strategy == "naive"
    assert config.variants["plain"] == config.train
    again = StudyConfig.model_validate_json(config_to_json(config))
    assert again == config
    assert [type(size) for size in again.sizes] == [float] * 4


def test_counts_and_fractions_stay_what_they_are() -> None:
    config = parse_study(MINIMAL | {"sizes": [10, 1.0, 0.5]})
    again = StudyConfig.model_validate_json(config_to_json(config))
    assert again.sizes == (10, 1.0, 0.5)
    assert [type(size) for size in again.sizes] == [int, float, float]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": [1]}, r"seed: unknown key; did you mean `seeds`\?"),
        (
            {"variants": {"fire": {"replay": {"ratoi": 2}}}},
            r"variants\.fire\.replay\.ratoi: unknown key; did you mean `ratio`\?",
        ),
        ({"data": [{"path": "a", "pth": 2}]}, r"data\.0\.pth: .*mean `path`\?"),
        ({"sizes": [1]}, r"sizes\.0: expected a fraction of the pool .*, got 1$"),
        ({"sizes": [1.5]}, r"sizes\.0: expected a fraction .*, got 1\.5$"),
        ({"sizes": ["x"]}, r"sizes\.0: expected a fraction .*, got 'x'$"),
        ({"sizes": [0.5, 0.5]}, r"sizes: every entry once, got \[0\.5, 0\.5\]"),
        ({"test": {}}, r"test: give one of `last` \(frames\) and `fraction`"),
        ({"test": {"last": 2, "fraction": 0.1}}, r"test: give one of"),
        ({"selection": ["kmean"]}, r"selection\.0: expected one of 'kmeans'"),
        ({"selection": ["uncertain"]}, r"selection: uncertain chooses by uncertaint"),
        ({"variants": {}}, r"variants: expected at least 1 entries"),
        ({"variants": {"My One": {}}}, r"variants\.My One.*expected text that matches"),
        ({"soap": {"average": "species_region"}}, r"a file has no regions"),
        (
            {"variants": {"s": {"strategy": "scratch", "epochs": 60}}},
            r"variants\.s: epochs is 60, train's is 7: .* equal optimiser steps",
        ),
        (
            {"variants": {"s": {"batch_frames": 1}}},
            r"variants\.s: batch_frames is 1, train's is 2",
        ),
        (
            {"variants": {"s": {"valid_fraction": 0.5}}},
            r"variants\.s: valid_fraction is 0\.5, train's is 0\.1",
        ),
        ({"variants": {"s": {"batch_atoms": 1}}}, r"s\.batch_atoms: no longer a sett"),
        ({"train": {"devices": 2}}, r"run on one device each"),
        ({"train": {"epoch": 3}}, r"train\.epoch: unknown key; did you mean `epochs`"),
        (
            {
                "train": {"freeze": ["readouts"]},
                "variants": {"s": {"strategy": "scratch"}},
            },
            r"variants\.s: scratch trains every weight",
        ),
    ],
)
def test_each_mistake_is_explained_where_it_is(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_study(MINIMAL | changes)


def test_a_mistake_is_reported_once() -> None:
    wrong = MINIMAL | {"train": {"epoch": 3}, "data": [{"path": "a", "pth": 2}]}
    with pytest.raises(ConfigError, match="study: 2 problems") as caught:
        parse_study(wrong)
    assert str(caught.value).count("\n") == 2


def test_paths_are_taken_from_the_study_files_folder(tmp_path: Path) -> None:
    (tmp_path / "r.extxyz").write_text("")
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    config = load_study(path)
    assert config.data[0].path == str(tmp_path / "a.extxyz")
    assert config.variants["fire"].replay.source == str(tmp_path / "r.extxyz")
    assert config.forgetting_source == str(tmp_path / "r.extxyz")


def test_files_that_are_no_study_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no study file at"):
        load_study(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match=r"keys of a study .*fire study schema.*list"):
        load_study(tmp_path / "list.yaml")


def test_the_examples_are_valid() -> None:
    found = list((ROOT / "examples").glob("study_*.yaml"))
    assert found
    for path in found:
        config = load_study(path)
        assert StudyConfig.model_validate_json(config_to_json(config)) == config


def test_the_schema_describes_every_key() -> None:
    schema = study_schema()
    assert schema["additionalProperties"] is False
    undescribed = [k for k, v in schema["properties"].items() if "description" not in v]
    assert not undescribed


def test_isolated_atoms_are_given_in_a_study() -> None:
    def study(**references: object) -> StudyConfig:
        asked = {"references": {"method": "isolated_atoms"} | references}
        return parse_study(MINIMAL | {"variants": {"bare": asked}})

    with pytest.raises(ConfigError, match=r"variant bare: .* needs isolated_atoms"):
        study()
    given = study(isolated_atoms={"Li": -7.3}).variants["bare"].references
    assert given.isolated_atoms == {"Li": -7.3}


def test_a_study_of_before_is_read_as_it_ran() -> None:
    """Its variants may differ in what is refused today."""
    raw = json.loads(config_to_json(parse_study(MINIMAL)))
    raw["variants"]["naive"]["valid_fraction"] = 0.5
    stored = StudyConfig.model_validate(raw, context=STORED)
    assert stored.variants["naive"].valid_fraction == 0.5
    with pytest.raises(ValidationError, match="equal optimiser steps"):
        StudyConfig.model_validate(raw)
