"""The replay set of a training, read from where its configuration says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fire_core.campaign.names import TEST
from fire_core.errors import StoreError
from fire_core.records import Split
from fire_core.training.rehearsal import leaving_out
from fire_core.training.sources import STORE, ReplaySource, load_replay_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.campaign.state import CampaignState
    from fire_core.config.training import ReplayConfig
    from fire_core.records import LabelledStructure
    from fire_core.storage.store import Store


def read_replay(
    store: Store, config: ReplayConfig, backbone: Backbone, campaign: str | None = None
) -> ReplaySource:
    """Return the replay set that a configuration names; see `load_replay_source`.

    Of a theory level of the store a campaign takes what was labelled when it first
    asked: labels that come later change no training that has begun, and all its
    models are judged on the same held-out frames.

    Raises
    ------
    StoreError
        The store does not have the theory level that is named.
    """
    stored: list[LabelledStructure] = []
    if config.source.startswith(STORE):
        theory = config.source.removeprefix(STORE)
        known = [row[0] for row in store.theories.list()]
        if theory not in known:
            msg = (
                f"replay.source names the theory {theory!r}, which the store does not "
                f"have; there: {', '.join(known) or 'none'} (`fire db stats`)"
            )
            raise StoreError(msg)
        stored = store.labels.labelled(_snapshot(store, theory, campaign), theory)
    return load_replay_source(config, backbone.elements, stored)


def campaign_replay(
    campaign: CampaignState,
    config: ReplayConfig,
    backbone: Backbone,
    valid: Mapping[str, Atoms],
) -> ReplaySource:
    """Return what a campaign's training may rehearse.

    Left out is what the model is watched or judged on: its validation frames, and the
    test frames that the campaign has so far.
    """
    source = read_replay(campaign.store, config, backbone, campaign.name)
    keys = _tests(campaign)
    tests = dict(zip(keys, campaign.store.structures.get(keys), strict=True))
    train = leaving_out(source.data.train, tests | dict(valid))
    return replace(source, data=replace(source.data, train=train))


def _tests(campaign: CampaignState) -> list[str]:
    """Return the keys of every independent trajectory that the campaign has so far."""
    rows = (
        campaign.store.selections.get(campaign.name, round_, TEST)
        for round_ in range(1, campaign.config.rounds + 1)
    )
    return sorted({key for row in rows if row is not None for key in row.keys})


def held_out(
    campaign: CampaignState, backbone: Backbone
) -> Sequence[LabelledStructure]:
    """Return the pre-training frames that forgetting is judged on, always the same."""
    config = campaign.config.fine_tune.replay
    return read_replay(campaign.store, config, backbone, campaign.name).data.heldout


def _snapshot(store: Store, theory: str, campaign: str | None) -> list[str]:
    """Return the keys of a theory level's labels, those of a campaign's first look."""
    if campaign is None:
        return store.labels.labelled_keys(theory)
    name = f"replay-{theory}"
    kept = store.datasets.get(campaign, name)
    if not kept:
        keys = store.labels.labelled_keys(theory)
        store.datasets.save(campaign, name, dict.fromkeys(keys, Split.TRAIN))
        kept = store.datasets.get(campaign, name)
    return sorted(kept)
