"""Train a model, every epoch committed to the store."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from fire_core.backbones.registry import load_configured
from fire_core.backbones.trainable import Trainable, need_trainable
from fire_core.campaign import (
    FIRE,
    PERTURB,
    PRE_FINE_TUNED,
    SELECTED,
    member_number,
    split_keys,
    sub_seed,
    training_of,
)
from fire_core.errors import TrainingError
from fire_core.records import EpochRecord, Split
from fire_core.training.committee import choose_subset
from fire_core.training.data import TrainingData
from fire_core.training.parallel import current_group
from fire_core.training.trainer import fine_tune
from tasks.context import CampaignRef, count_model_usage, hold_step, open_campaign
from tasks.label import chosen_keys, theory_fingerprint
from tasks.naming import model_name
from tasks.progress import Progress
from tasks.references import fill_references
from tasks.replay import read_replay
from tasks.train_child import count_devices, train_in_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.training import TrainConfig
    from fire_core.records import LabelledStructure
    from fire_core.storage.store import Store
    from fire_core.training.trainer import FineTuned


@task(name="train", task_run_name="train-{kind}-{round_}")
def train_model(ref: CampaignRef, round_: int, kind: str) -> str:
    """Train one model on all labels so far; return its sha256.

    Every model starts from the foundation model, or with `warm_start` from the one of
    the round before. An interrupted training goes on
    after its last committed epoch. With several devices, child processes train.
    """
    say = get_run_logger().info
    name = model_name(kind, round_)
    with (
        open_campaign(ref) as (store, config),
        hold_step(store, ref, f"train-{name}", say) as hold,
    ):
        settings = training_of(config, kind)
        devices = count_devices(settings.devices, config.backbone.device)
        if devices > 1:
            return train_in_child(ref, round_, kind, say=say, devices=devices)
        title = f"Training {name}"
        with Progress(f"train-{ref.name}", title, settings.epochs) as progress:

            def advance(n_epochs: int) -> None:
                hold.check()
                progress.reach(n_epochs)

            return train_to_store(ref, round_, kind, say=say, on_epoch=advance)


def train_to_store(
    ref: CampaignRef,
    round_: int,
    kind: str,
    *,
    say: Callable[[str], None],
    on_epoch: Callable[[int], None] = lambda _: None,
    threads: int | None = None,
) -> str:
    """Train or continue a model unless the store has it; return its sha256.

    Parameters
    ----------
    ref, round_, kind
        Which model of which campaign.
    say
        Told one line for each epoch.
    on_epoch
        Told how many epochs are done.
    threads
        CPU threads in place of the campaign's.
    """
    with open_campaign(ref) as (store, stored):
        trained = store.get_model(ref.name, model_name(kind, round_))
        if trained is not None:
            return trained.blob_sha
        config = stored
        if threads is not None:
            config = stored.model_copy(update={"threads": threads})
        group = current_group()  # its leading process writes
        if not group.leads:
            return _train(store, config, (ref, round_, kind), say, on_epoch)
        step = "pre_fine_tune" if kind == PRE_FINE_TUNED else f"train_{kind}"
        with count_model_usage(store, config, ref, round_, step, devices=group.size):
            return _train(store, config, (ref, round_, kind), say, on_epoch)


def _train(
    store: Store,
    config: CampaignConfig,
    which: tuple[CampaignRef, int, str],
    say: Callable[[str], None],
    on_epoch: Callable[[int], None],
) -> str:
    ref, round_, kind = which
    group = current_group()
    name, settings = model_name(kind, round_), training_of(config, kind)
    parts = _dataset(store, config, ref, round_, kind)
    settings = fill_references(store, config, settings, parts[Split.TRAIN])
    if group.leads:
        _enter_dataset(store, ref, name, parts)
    foundation = load_configured(config.backbone, config.threads)
    with group.leader_first():  # it may fetch a file
        source = read_replay(store, settings.replay, foundation)
    if source.left_out:
        say(
            f"{source.left_out} replay frames hold elements that {foundation.name} "
            "does not know and are left out"
        )
    last = store.last_epoch(ref.name, name)
    checkpoint = None
    if last is not None and last.checkpoint_sha is not None:
        checkpoint = store.blobs.get_bytes(last.checkpoint_sha)

    def commit(record: EpochRecord, state: bytes) -> None:
        store.save_epoch(
            ref.name, name, record.epoch, json.dumps(asdict(record)), state
        )
        on_epoch(record.epoch + 1)
        say(describe_epoch(name, record))

    member = member_number(kind)
    path = ("train",) if member is None else ("train", kind)
    tuned = fine_tune(
        foundation,
        TrainingData(
            parts[Split.TRAIN],
            parts[Split.VALID],
            source.data.train,
            source.data.heldout,
            _start(store, config, ref, round_, kind),
        ),
        settings,
        seed=sub_seed(config, *path),
        checkpoint=checkpoint,
        on_epoch=commit,
    )
    if not group.leads:
        return hashlib.sha256(tuned.model).hexdigest()
    say(f"{name}: {tuned.references.describe()}")
    say(f"{name}: epoch {tuned.kept} of {len(tuned.records)} is kept")
    sha = store.blobs.put_bytes(tuned.model)
    store.add_model(
        ref.name,
        name,
        sha,
        parent_sha=foundation.sha256,
        config_json=json.dumps(_describe(settings, tuned)),
    )
    return sha


def _start(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int, kind: str
) -> Trainable | None:
    """Return the model that a warm start goes on from: the same kind, a round before.

    Round 1 goes on from the pre-fine-tuned model; members of a committee, which are to
    differ, and the comparison without replay begin with the foundation model there.
    """
    before = model_name(kind, round_ - 1)
    if round_ == 1 and kind == FIRE:
        before = PRE_FINE_TUNED
    elif round_ <= 1:
        return None
    row = store.get_model(ref.name, before)
    if not training_of(config, kind).warm_start or row is None:
        return None
    path = store.blobs.path(row.blob_sha)
    return need_trainable(load_configured(config.backbone, config.threads, path))


def describe_epoch(name: str, record: EpochRecord) -> str:
    """Return what an epoch reached as one line."""
    forgetting = record.forgetting_force_mae
    parts = f" in {record.n_parts} parts a step" if record.n_parts > 1 else ""
    return (
        f"{name} epoch {record.epoch}: force RMSE {record.valid.force_rmse:.0f} meV/Å, "
        f"energy RMSE {record.valid.energy_rmse:.1f} meV/atom, forgetting "
        f"{'-' if forgetting is None else f'{forgetting:.0f}'} meV/Å "
        f"({record.seconds:.1f} s{parts})"
    )


def _describe(settings: TrainConfig, tuned: FineTuned) -> dict[str, object]:
    return {
        "settings": settings.model_dump(mode="json"),
        "references": asdict(tuned.references),
        "kept_epoch": tuned.kept,
        "epochs": len(tuned.records),
        "start_forgetting_force_mae": tuned.start_forgetting,
    }


def _dataset(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int, kind: str
) -> dict[Split, list[LabelledStructure]]:
    """Gather the labels so far and split them."""
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
    parts: dict[Split, list[LabelledStructure]] = {Split.TRAIN: [], Split.VALID: []}
    for item in labelled:
        parts[split[item.key]].append(item)
    member = member_number(kind)
    if member is not None:
        seed = sub_seed(config, "committee", rounds)
        parts[Split.TRAIN] = choose_subset(
            parts[Split.TRAIN], config.committee.fraction, seed=seed, member=member
        )
    return parts


def _enter_dataset(
    store: Store,
    ref: CampaignRef,
    name: str,
    parts: dict[Split, list[LabelledStructure]],
) -> None:
    members = {item.key: part for part, items in parts.items() for item in items}
    store.save_dataset(ref.name, name, members)
