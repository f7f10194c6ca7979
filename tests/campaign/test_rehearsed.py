"""What a campaign rehearses: a snapshot, without what its models are judged on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.state import CampaignState
from fire_core.campaign.steps.labels import register_theories
from fire_core.campaign.steps.replay import campaign_replay, held_out, read_replay
from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_to_json
from fire_core.config.training import ReplayConfig
from fire_core.records import Label
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from tests.training.conftest import make_backbone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ase import Atoms

    from fire_core.records import LabelledStructure

BACKBONE = make_backbone()


def frames(n: int, seed: int) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        atoms = bulk("LiCl", "rocksalt", a=5.15, cubic=True)
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        atoms.symbols[: i % 3] = "F"  # several compositions
        made.append(atoms)
    return made


def add(campaign: CampaignState, made: list[Atoms]) -> list[str]:
    keys = campaign.store.structures.add(made, source="test")
    labels = [Label(-1.0 * len(a), np.zeros((len(a), 3))) for a in made]
    campaign.store.labels.add(dict(zip(keys, labels, strict=True)), campaign.theory())
    return list(keys)


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[CampaignState]:
    config = CampaignConfig.model_validate(
        {"name": "c", "system": {"kind": "file", "path": "start.cif"}, "rounds": 3}
    )
    ref = CampaignRef(
        name="c", db=f"sqlite:///{tmp_path}/a.db", blobs=str(tmp_path / "blobs")
    )
    with Store.open(ref.db, ref.blobs) as store:
        store.campaigns.open("c", config_to_json(config))
        state = CampaignState(store, config, ref)
        register_theories(state)
        yield state


def keys_of(items: Iterable[LabelledStructure]) -> set[str]:
    return {item.key for item in items}


def test_no_test_or_validation_frame_is_rehearsed(campaign: CampaignState) -> None:
    """Of all rounds so far, although the theory level is the campaign's own."""
    others = add(campaign, frames(20, 0))
    judged: set[str] = set()
    for round_ in (1, 2):
        keys = add(campaign, frames(4, round_))
        row = SelectionRow("by hand", keys, [], '{"regions": null}')
        campaign.store.selections.save("c", round_, "test", row)
        judged |= set(keys)
    valid = others[:5]
    atoms = campaign.store.structures.get(valid)
    config = ReplayConfig(source=f"store:{campaign.theory()}")
    known = dict(zip(valid, atoms, strict=True))
    source = campaign_replay(campaign, config, BACKBONE, known)
    held = keys_of(source.data.heldout)
    assert keys_of(source.data.train) == set(others[5:]) - held
    assert not keys_of(source.data.train) & judged


def test_labels_that_come_later_change_nothing(campaign: CampaignState) -> None:
    first = set(add(campaign, frames(20, 0)))
    config = ReplayConfig(source=f"store:{campaign.theory()}")
    before = campaign_replay(campaign, config, BACKBONE, {})
    add(campaign, frames(10, 9))
    after = campaign_replay(campaign, config, BACKBONE, {})
    for part in ("train", "heldout"):
        one, two = (getattr(source.data, part) for source in (before, after))
        assert [item.key for item in one] == [item.key for item in two]
    assert keys_of(after.data.train) | keys_of(after.data.heldout) == first
    fresh = read_replay(campaign.store, config, BACKBONE).data
    assert len(fresh.train) + len(fresh.heldout) == 30
    settings = config_to_json(campaign.config)
    campaign.store.campaigns.open("another", settings)
    other = read_replay(campaign.store, config, BACKBONE, "another").data
    assert len(other.train) + len(other.heldout) == 30


def test_forgetting_is_judged_on_the_same_frames(campaign: CampaignState) -> None:
    one, two = (held_out(campaign, BACKBONE) for _ in range(2))
    assert [i.key for i in one] == [i.key for i in two]
    assert 0 < len(one) <= 500
