"""Which theory level a campaign's labels are at, whatever else the store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.campaign.campaign import Campaign
from fire_core.campaign.names import ATOMS, PERTURB
from fire_core.campaign.steps.labels import plan_labels, register_theories
from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_to_json
from fire_core.errors import StoreError
from fire_core.labelling.codes import xtb
from fire_core.labelling.theory import theory_from_config
from fire_core.records import Label, LabelState
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEXT = "0.9.9"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/fire.db", tmp_path / "blobs") as opened:
        yield opened


def begin(store: Store, name: str, kind: str) -> Campaign:
    """Enter a campaign as FIRE of before did, with the choices that all share."""
    config = CampaignConfig.model_validate(
        {
            "name": name,
            "system": {"kind": "file", "path": "x.xyz"},
            "theory": {"kind": kind},
        }
    )
    store.campaigns.open(name, config_to_json(config))
    cells = [bulk("LiCl", "rocksalt", a=5.0 + n / 10) for n in range(3)]
    keys = store.structures.add(cells, source="test")
    atom = store.structures.add([bulk("Li")], source="test")
    store.selections.save(name, 0, PERTURB, SelectionRow("perturb", keys))
    store.selections.save(name, 0, ATOMS, SelectionRow("elements", atom))
    row = store.campaigns.get(name)
    assert row is not None
    return Campaign.within(store, row)


def label(campaign: Campaign) -> str:
    """Enter labels of round 0 at the level that is installed; return the level."""
    level = theory_from_config(campaign.config.theory)
    store = campaign.store
    store.theories.add(
        level.fingerprint, level.code, level.version, level.settings_json
    )
    for purpose in (PERTURB, ATOMS):
        keys = campaign.chosen_keys(0, purpose)
        frames = store.structures.get(keys)
        labels = [Label(-1.0, np.zeros((len(atoms), 3))) for atoms in frames]
        store.labels.add(dict(zip(keys, labels, strict=True)), level.fingerprint)
    return level.fingerprint


def test_labels_of_another_campaign_on_the_same_structures_are_not_taken(
    store: Store,
) -> None:
    """Structures are shared by their content, also between campaigns of two levels."""
    theirs = label(begin(store, "a", "lennard_jones"))
    mine = begin(store, "b", "xtb")
    register_theories(mine)
    for purpose in ("", ATOMS):
        assert mine.theory(purpose) != theirs
        assert mine.theory(purpose) == mine.recorded_theory(purpose)
    assert not mine.is_labelled(0, PERTURB)
    assert mine.labelled(0, PERTURB) == []


def test_a_campaign_of_before_keeps_the_release_of_its_labels(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = begin(store, "c", "xtb")
    level = label(campaign)
    monkeypatch.setattr(xtb, "version", lambda _: NEXT)
    assert campaign.recorded_theory() is None
    assert campaign.theory() == level  # found, before it is recorded
    register_theories(campaign)
    assert campaign.recorded_theory() == campaign.recorded_theory(ATOMS) == level
    assert campaign.theory_level().version != NEXT


def test_without_a_label_another_release_begins_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = begin(store, "c", "xtb")
    register_theories(campaign)
    first = campaign.theory()
    monkeypatch.setattr(xtb, "version", lambda _: NEXT)
    assert plan_labels(campaign, 0, PERTURB).lanes > 0
    assert campaign.theory() != first
    assert campaign.label_counts(0, PERTURB) == {LabelState.WANTED: 3}


def test_a_refused_release_wants_no_label(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = begin(store, "c", "xtb")
    level = label(campaign)
    more = store.structures.add([bulk("LiF", "rocksalt", a=4.0)], source="test")
    store.selections.save("c", 1, "selected", SelectionRow("kmeans", more))
    monkeypatch.setattr(xtb, "version", lambda _: NEXT)
    with pytest.raises(StoreError, match="1 more labels would be of another theory"):
        plan_labels(campaign, 1, "selected")
    assert LabelState.WANTED not in store.labels.counts(level)
    assert plan_labels(campaign, 0, PERTURB).lanes == 0  # all are there


def test_a_campaign_that_was_found_and_not_registered_can_be_labelled(
    store: Store,
) -> None:
    campaign = begin(store, "c", "xtb")
    assert plan_labels(campaign, 0, PERTURB).lanes > 0
    assert campaign.recorded_theory() == campaign.theory()
