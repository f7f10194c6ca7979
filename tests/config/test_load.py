"""Campaign files: what is wrong, where, and what was expected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_schema, config_to_json, load_campaign
from fire_core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = {
    "name": "mini",
    "system": {
        "kind": "interface",
        "bottom": {"crystal": "LiCl"},
        "top": {"crystal": "GaF3"},
    },
}


def write(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "campaign.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | changes))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sead": 1}, r"sead: unknown key; did you mean `seed`\?"),
        (
            {"fine_tune": {"batch_atoms": 64}},
            r"fine_tune.batch_atoms: no longer a setting; batch_frames says",
        ),
        (
            {"pre_fine_tune": {"replay": {"order": "after"}}},
            r"replay.order: no longer a setting; every step has its share",
        ),
        ({"batch_atoms": 64}, r"batch_atoms: unknown key"),
        (
            {"explore": {"temperatures": [-300]}},
            r"explore.temperatures.0: .*greater than",
        ),
        (
            {"explore": {"steps": 7}},
            r"steps must be a multiple of save_every = 5, got 7",
        ),
        ({"theory": {"kind": "castep"}}, r"theory: expected `kind` to be one of 'xtb'"),
        ({"name": "My Campaign"}, r"name: expected text that matches"),
        (
            {"perturb": {"rattle": [0.2, 0.1]}},
            r"\[smallest, largest\], got \[0.2, 0.1\]",
        ),
        (
            {"system": {"kind": "interface", "top": {"crystal": "LiF"}}},
            r"bottom: expected",
        ),
        ({"perturb": {"n": 0}}, r"perturb.n: expected a value of at least 1, got 0"),
        (
            {"select": {"soap": {"cutof": 4}}},
            r"select.soap.cutof: unknown key; did you mean `cutoff`",
        ),
        ({"seed": float("nan")}, r"seed: "),
        ({"explore": {"temperatures": 600}}, r"expected a list, such as .*, got 600"),
        ({"explore": {"timestep": 2e-15}}, r"timestep: expected .* at least 0.05"),
        ({"explore": {"timestep": 20.0}}, r"timestep: expected .* at most 10"),
        (
            {"system": MINIMAL["system"] | {"gap": "2.3 A"}},
            r"gap: expected a number, without its unit, got '2.3 A'",
        ),
        (
            {"system": MINIMAL["system"] | {"max_strain": 5}},
            r"max_strain: expected a value of at most 0.5, got 5",
        ),
        (
            {"select": {"method": "kmean"}},
            r"select.method: expected one of 'kmeans', .* or 'maxdet', got 'kmean'",
        ),
        (
            {"evaluate": {"gates": {"required": ["shear", "tough"]}}},
            r"gates.required.1: expected one of 'energy_error', .*, got 'tough'",
        ),
        (
            {"evaluate": {"gates": {"others": {"dimers": {"wall": 2}}}}},
            r"gates.others: the gate dimers takes no limits here",
        ),
        ({"theory": {"method": "GFN1-xTB"}}, r"theory: expected a key `kind`"),
        ({"theory": 3}, r"theory: expected keys of its own, one to a line, got 3"),
        (
            {"theory": {"kind": "xtb", "accuracy": -1}},
            r"theory.xtb.accuracy: expected a value greater than 0",
        ),
        (
            {"select": {"n": 3000}},
            r"select.n is 3000, but a round of explore saves 2000 candidates",
        ),
    ],
)
def test_each_mistake_is_explained_where_it_is(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_campaign(write(tmp_path, **changes))


def test_every_mistake_is_listed_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, sead=1, explore={"temperatures": [-1]}, threads=-2)
    with pytest.raises(ConfigError, match="problems") as caught:
        load_campaign(path)
    for key in ("sead", "explore.temperatures.0", "threads"):
        assert f"- {key}:" in str(caught.value)


def test_missing_and_unreadable_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no campaign file at"):
        load_campaign(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("name: [unclosed")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_campaign(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match=r"must hold a mapping.*got list"):
        load_campaign(tmp_path / "list.yaml")


def test_the_examples_are_valid_and_survive_a_round_trip() -> None:
    campaigns = set((ROOT / "examples").glob("*.yaml"))
    for path in campaigns - set((ROOT / "examples").glob("study_*.yaml")):
        config = load_campaign(path)
        again = CampaignConfig.model_validate_json(config_to_json(config))
        assert config_to_json(again) == config_to_json(config)


def test_paths_are_taken_from_the_campaign_files_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.xyz").write_text("0\n\n")
    path = write(tmp_path, system={"kind": "file", "path": "mine.xyz"})
    config = load_campaign(path)
    assert config.system.kind == "file"
    assert Path(config.system.path) == tmp_path / "mine.xyz"


def test_the_schema_describes_every_key() -> None:
    schema = config_schema()
    properties = schema["$defs"]["DynamicsConfig"]["properties"]
    assert "Thermostat targets, K" in properties["temperatures"]["description"]
    assert schema["additionalProperties"] is False
    json.dumps(schema)


def test_a_key_that_is_there_twice_is_told(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text() + "\nname: another\n")
    with pytest.raises(ConfigError, match=r"the key 'name' is there twice"):
        load_campaign(path)


def test_a_merged_key_may_be_replaced(tmp_path: Path) -> None:
    path = write(tmp_path)
    text = (
        "fine_tune: &same {epochs: 3, seed: 1}\npre_fine_tune: {<<: *same, epochs: 2}\n"
    )
    path.write_text(path.read_text() + text.replace(", seed: 1", ""))
    assert load_campaign(path).pre_fine_tune.epochs == 2
