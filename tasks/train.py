"""Fine-tune the foundation model, every epoch committed to the store."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from fire_core.backbones.registry import load_backbone
from fire_core.campaign import PRE_FINE_TUNED, VANILLA, split_keys, sub_seed
from fire_core.errors import TrainingError
from fire_core.records import EpochRecord, Split
from fire_core.training.data import TrainingData
from fire_core.training.trainer import fine_tune
from tasks.context import CampaignRef, count_usage, open_campaign
from tasks.explore import model_name
from tasks.label import chosen_keys, theory_fingerprint
from tasks.prepare import PERTURB
from tasks.progress import Progress
from tasks.replay import read_replay
from tasks.select import SELECTED

if TYPE_CHECKING:
    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.training import TrainConfig
    from fire_core.records import LabelledStructure
    from fire_core.storage.store import Store


def training_of(config: CampaignConfig, kind: str) -> TrainConfig:
    """Return the settings of one kind of model; vanilla is fire without replay."""
    if kind == PRE_FINE_TUNED:
        return config.pre_fine_tune
    if kind == VANILLA:
        return config.fine_tune.model_copy(update={"strategy": "naive"})
    return config.fine_tune


@task(name="train", task_run_name="train-{kind}-{round_}")
def train_model(ref: CampaignRef, round_: int, kind: str) -> str:
    """Train one model on all labels so far; return its sha256.

    Every model starts from the foundation model. An interrupted training goes on
    after its last committed epoch.
    """
    with open_campaign(ref) as (store, config):
        name = model_name(kind, round_)
        trained = store.get_model(ref.name, name)
        if trained is not None:
            return trained.blob_sha
        step = "pre_fine_tune" if kind == PRE_FINE_TUNED else f"train_{kind}"
        with count_usage(store, ref, round_, step, cores=config.threads or 2):
            return _train(store, config, ref, round_, kind)


def _train(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int, kind: str
) -> str:
    name, settings = model_name(kind, round_), training_of(config, kind)
    parts = _dataset(store, config, ref, round_, kind)
    foundation = load_backbone(
        config.backbone.name,
        device=config.backbone.device,
        dtype=config.backbone.dtype,
        threads=config.threads,
    )
    source = read_replay(store, settings.replay, foundation)
    if source.left_out:
        get_run_logger().warning(
            "%d replay frames hold elements that %s does not know and are left out",
            source.left_out, foundation.name,
        )  # fmt: skip
    last = store.last_epoch(ref.name, name)
    checkpoint = None
    if last is not None and last.checkpoint_sha is not None:
        checkpoint = store.blobs.get_bytes(last.checkpoint_sha)
    progress = Progress(f"train-{ref.name}", f"Training {name}", settings.epochs)
    logger = get_run_logger()

    def commit(record: EpochRecord, state: bytes) -> None:
        store.save_epoch(
            ref.name, name, record.epoch, json.dumps(asdict(record)), state
        )
        progress.update(record.epoch + 1)
        logger.info(
            "%s epoch %d: force RMSE %.0f meV/Å, energy RMSE %.1f meV/atom, "
            "forgetting %s meV/Å (%.1f s)",
            name, record.epoch, record.valid.force_rmse, record.valid.energy_rmse,
            "-" if record.forgetting_force_mae is None
            else f"{record.forgetting_force_mae:.0f}",
            record.seconds,
        )  # fmt: skip

    tuned = fine_tune(
        foundation,
        TrainingData(
            parts[Split.TRAIN],
            parts[Split.VALID],
            source.data.train,
            source.data.heldout,
        ),
        settings,
        seed=sub_seed(config, "train"),
        checkpoint=checkpoint,
        on_epoch=commit,
    )
    logger.info("%s: %s", name, tuned.references.describe())
    logger.info("%s: epoch %d of %d is kept", name, tuned.kept, len(tuned.records))
    sha = store.blobs.put_bytes(tuned.model)
    store.add_model(
        ref.name,
        name,
        sha,
        parent_sha=foundation.sha256,
        config_json=json.dumps(
            {
                "settings": settings.model_dump(mode="json"),
                "references": asdict(tuned.references),
                "kept_epoch": tuned.kept,
                "epochs": len(tuned.records),
                "start_forgetting_force_mae": tuned.start_forgetting,
            }
        ),
    )
    return sha


def _dataset(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int, kind: str
) -> dict[Split, list[LabelledStructure]]:
    """Gather the labels so far, split them and enter the split in the store."""
    rounds = 0 if kind == PRE_FINE_TUNED else round_
    keys = chosen_keys(store, ref, 0, PERTURB)
    for number in range(1, rounds + 1):
        keys += chosen_keys(store, ref, number, SELECTED)
    labelled = store.get_labelled(keys, theory_fingerprint(store, config))
    if len(labelled) < 2:
        msg = (
            f"training needs at least two finished labels, got {len(labelled)} of "
            f"{len(keys)}; see why the others failed in the label table, then "
            "start the campaign again"
        )
        raise TrainingError(msg)
    split = split_keys(
        [item.key for item in labelled],
        training_of(config, kind).valid_fraction,
        sub_seed(config, "split", rounds),
    )
    store.save_dataset(ref.name, model_name(kind, round_), split)
    parts: dict[Split, list[LabelledStructure]] = {Split.TRAIN: [], Split.VALID: []}
    for item in labelled:
        parts[split[item.key]].append(item)
    return parts
