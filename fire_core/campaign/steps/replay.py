"""The replay set of a training, read from where its configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.errors import StoreError
from fire_core.training.sources import STORE, ReplaySource, load_replay_source

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.config.training import ReplayConfig
    from fire_core.records import LabelledStructure
    from fire_core.storage.store import Store


def read_replay(store: Store, config: ReplayConfig, backbone: Backbone) -> ReplaySource:
    """Return the replay set that a configuration names; see `load_replay_source`."""
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
        stored = store.labels.labelled(store.labels.labelled_keys(theory), theory)
    return load_replay_source(config, backbone.elements, stored)
