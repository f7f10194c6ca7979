"""Verbs before their turn, and words that are none, are refused; nothing is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ase.build import bulk

from fire_core.campaign.campaign import Campaign, Round
from fire_core.campaign.names import PERTURB, PRE_FINE_TUNED, SELECTED
from fire_core.config.campaign import CampaignConfig
from fire_core.errors import ConfigError, StoreError
from fire_core.storage.selections import SelectionRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Campaign]:
    """A campaign with a model to explore with, that has chosen and labelled nothing."""
    config = CampaignConfig.model_validate(
        {
            "name": "c",
            "system": {"kind": "file", "path": "x.xyz"},
            "theory": {"kind": "lennard_jones"},
            "store": {"url": f"sqlite:///{tmp_path}/db", "blobs": str(tmp_path / "b")},
        }
    )
    with Campaign.open(config) as opened:
        sha = opened.store.blobs.put_bytes(b"weights")
        opened.store.models.add(
            "c", PRE_FINE_TUNED, sha, parent_sha=None, config_json="{}"
        )
        yield opened


def choose(campaign: Campaign, round_: int, purpose: str) -> None:
    cell = bulk("LiCl", "rocksalt", a=5.1 + round_ / 10)
    keys = campaign.store.structures.add([cell], source="test")
    row = SelectionRow("test", keys)
    campaign.store.selections.save(campaign.name, round_, purpose, row)


WORDS: dict[str, tuple[int, Callable[[Round], object], str]] = {
    "choice": (1, lambda r: r.label("nope"), "one of selected, test, got 'nope'"),
    "first choice": (0, lambda r: r.label(), "one of perturb, isolated_atoms, got"),
    "run": (1, lambda r: r.explore("tset"), "one of explore, test, got 'tset'"),
    "frames": (1, lambda r: r.select("nope"), "one of explore, test, got 'nope'"),
    "no run": (0, lambda r: r.explore(), "round 0 runs no dynamics"),
    "kind": (1, lambda r: r.fine_tune("fier"), "one of fire, vanilla, got 'fier'"),
    "early": (0, lambda r: r.fine_tune(), "one of pre_fine_tuned, got 'fire'"),
    "late": (1, lambda r: r.pre_fine_tune(), "one of fire, vanilla, got 'pre_fine"),
    "judged": (1, lambda r: r.judge(["fier"]), "a kind of model to be one of"),
}


@pytest.mark.parametrize("case", WORDS.values(), ids=WORDS)
def test_a_word_that_is_none_is_refused_with_those_that_are(
    campaign: Campaign, case: tuple[int, Callable[[Round], object], str]
) -> None:
    number, call, message = case
    with pytest.raises(ConfigError, match=message):
        call(campaign.round(number))
    assert [m.name for m in campaign.store.models.list("c")] == [PRE_FINE_TUNED]


@pytest.mark.parametrize("number", [-1, 2, "1"])
def test_a_campaign_has_the_rounds_of_its_file(campaign: Campaign, number: Any) -> None:
    with pytest.raises(ConfigError, match="expected a round from 0 to 1, got"):
        campaign.round(number)


def test_no_model_is_trained_before_its_labels_are_settled(campaign: Campaign) -> None:
    """It is trained once: what it was not given then it would never learn."""
    with pytest.raises(StoreError, match=r"chosen and settled.*round\(0\)\.label"):
        campaign.round(0).pre_fine_tune()
    choose(campaign, 0, PERTURB)
    campaign.round(0).label(PERTURB)
    choose(campaign, 1, SELECTED)
    for train in (campaign.round(1).fine_tune, campaign.round(1).train_committee):
        with pytest.raises(
            StoreError, match=r"labels of 'selected' of round 1.*round\(1\)\.label"
        ):
            train()
    assert [m.name for m in campaign.store.models.list("c")] == [PRE_FINE_TUNED]


def test_what_comes_first_is_named(campaign: Campaign) -> None:
    with pytest.raises(StoreError, match=r"no frames .*round\(1\)\.explore\('explore"):
        campaign.round(1).select()
    with pytest.raises(StoreError, match="judged on its labelled test set"):
        campaign.round(1).judge()
