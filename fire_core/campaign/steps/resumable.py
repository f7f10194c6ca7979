"""Train into the store: every epoch is committed, an interrupted training goes on."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from fire_core.training.trainer import fine_tune

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.backbones.base import Backbone
    from fire_core.config.training import TrainConfig
    from fire_core.records import EpochRecord
    from fire_core.storage.store import Store
    from fire_core.training.data import TrainingData
    from fire_core.training.trainer import FineTuned


def train_into_store(
    store: Store,
    which: tuple[str, str],
    start: tuple[Backbone, TrainingData],
    settings: TrainConfig,
    *,
    seed: int,
    on_epoch: Callable[[EpochRecord], None],
) -> FineTuned:
    """Train a model from its first epoch, or after the last one that is committed.

    Parameters
    ----------
    store
        Takes every epoch with its checkpoint.
    which
        Campaign and name of the model.
    start
        The model to begin with, and the data.
    settings, seed
        Of the training.
    on_epoch
        Called with each epoch once it is committed.
    """
    last = store.models.last_epoch(*which)
    checkpoint = None
    if last is not None and last.checkpoint_sha is not None:
        checkpoint = store.blobs.get_bytes(last.checkpoint_sha)

    def commit(record: EpochRecord, state: bytes) -> None:
        store.models.save_epoch(*which, record.epoch, json.dumps(asdict(record)), state)
        on_epoch(record)

    return fine_tune(
        *start, settings, seed=seed, checkpoint=checkpoint, on_epoch=commit
    )
