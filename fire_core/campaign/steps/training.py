"""Train a model of a campaign, every epoch committed to the store."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from fire_core.backbones.registry import backbone_interpreter
from fire_core.backbones.trainable import Trainable, need_trainable
from fire_core.campaign.names import (
    FIRE,
    PERTURB,
    PRE_FINE_TUNED,
    SELECTED,
    member_number,
    model_name,
    training_of,
)
from fire_core.campaign.steps.outlasting import keep_neutral
from fire_core.campaign.steps.references import fill_references
from fire_core.campaign.steps.replay import campaign_replay
from fire_core.campaign.steps.resumable import train_into_store
from fire_core.campaign.steps.train_child import count_devices, train_in_child
from fire_core.campaign.usage import count_model_usage
from fire_core.errors import TrainingError
from fire_core.records import EpochRecord, ModelHash, Split
from fire_core.seeds import split_keys
from fire_core.training.committee import choose_subset
from fire_core.training.data import TrainingData
from fire_core.training.parallel import current_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.campaign.state import CampaignState
    from fire_core.config.training import TrainConfig
    from fire_core.records import LabelledStructure
    from fire_core.training.trainer import FineTuned


def train_model(campaign: CampaignState, round_: int, kind: str) -> str:
    """Train one model on all labels so far; return its sha256.

    Every model starts from the foundation model, or with `warm_start` from the one of
    the round before. An interrupted training goes on after its last committed epoch.
    With several devices, or a backbone that has an environment of its own, child
    processes train.
    """
    name, config = model_name(kind, round_), campaign.config
    with campaign.holding(f"train-{name}") as lease:
        settings = training_of(config, kind)
        devices = count_devices(settings.devices, config.backbone.device)
        if devices > 1 or backbone_interpreter(config.backbone.name) is not None:
            return train_in_child(campaign, round_, kind, devices=devices)
        key = f"train-{campaign.name}"
        progress = campaign.observer.progress(key, f"Training {name}", settings.epochs)
        with progress:

            def advance(n_epochs: int) -> None:
                lease.check()
                progress.reach(n_epochs)

            return train_here(campaign, round_, kind, on_epoch=advance)


def train_member(campaign: CampaignState, round_: int, kind: str, width: int) -> str:
    """Train one member of a committee in a child process; return its sha256.

    Without a GPU the cores are divided among the `width` members that are trained at
    once; with several, members take turns on them.

    Raises
    ------
    TrainingError
        The process ended without a model; another try goes on after the last
        committed epoch.
    """
    with campaign.holding(f"train-{model_name(kind, round_)}"):
        return train_in_child(campaign, round_, kind, beside=width)


def train_here(
    campaign: CampaignState,
    round_: int,
    kind: str,
    *,
    on_epoch: Callable[[int], None] = lambda _: None,
) -> str:
    """Train or continue a model in this process unless the store has it.

    Parameters
    ----------
    campaign, round_, kind
        Which model of which campaign.
    on_epoch
        Called with the number of epochs that are done.

    Returns
    -------
    str
        sha256 of the model's file.
    """
    trained = campaign.store.models.get(campaign.name, model_name(kind, round_))
    group = current_group()  # its leading process writes
    if trained is not None:
        if group.leads:
            _keep_neutral(campaign, trained.name)
        return trained.blob_sha
    if not group.leads:
        return _train(campaign, round_, kind, on_epoch)
    step = "pre_fine_tune" if kind == PRE_FINE_TUNED else f"train_{kind}"
    with count_model_usage(campaign, round_, step, devices=group.size):
        return _train(campaign, round_, kind, on_epoch)


def _train(
    campaign: CampaignState, round_: int, kind: str, on_epoch: Callable[[int], None]
) -> str:
    store, config, say = campaign.store, campaign.config, campaign.observer.info
    group = current_group()
    name, settings = model_name(kind, round_), training_of(config, kind)
    parts = _dataset(campaign, round_, kind)
    settings = fill_references(campaign, settings, parts[Split.TRAIN])
    if group.leads:
        _enter_dataset(campaign, name, parts)
    foundation = campaign.load_foundation()
    if group.leads:  # of a campaign of before it was not recorded
        store.campaigns.record_identity(
            campaign.name, foundation_sha=ModelHash(foundation.sha256)
        )
    with group.leader_first():  # it may fetch a file
        valid = {item.key: item.atoms for item in parts[Split.VALID]}
        source = campaign_replay(campaign, settings.replay, foundation, valid)
    if source.left_out:
        say(
            f"{source.left_out} replay frames hold elements that {foundation.name} "
            "does not know and are left out"
        )

    def tell(record: EpochRecord) -> None:
        on_epoch(record.epoch + 1)
        say(describe_epoch(name, record))

    data = TrainingData(
        parts[Split.TRAIN],
        parts[Split.VALID],
        source.data.train,
        source.data.heldout,
        _start(campaign, round_, kind),
    )
    path = ("train",) if member_number(kind) is None else ("train", kind)
    tuned = train_into_store(
        store,
        (campaign.name, name),
        (foundation, data),
        settings,
        seed=campaign.seed(*path),
        on_epoch=tell,
    )
    if not group.leads:
        return hashlib.sha256(tuned.model).hexdigest()
    say(f"{name}: {tuned.references.describe()}")
    if tuned.adapted is not None:
        say(f"{name}: only weights of {', '.join(tuned.adapted)} were trained")
    say(f"{name}: epoch {tuned.kept} of {len(tuned.records)} is kept")
    sha = store.blobs.put_bytes(tuned.model)
    store.models.add(
        campaign.name,
        name,
        sha,
        parent_sha=foundation.sha256,
        config_json=json.dumps(_describe(settings, tuned)),
    )
    _keep_neutral(campaign, name, foundation)
    return sha


def _keep_neutral(
    campaign: CampaignState, name: str, foundation: Backbone | None = None
) -> None:
    """Keep a trained model's neutral copy, where that was not done before."""
    store = campaign.store

    def load() -> Trainable:
        return need_trainable(foundation or campaign.load_foundation())

    def frames() -> list[Atoms]:
        members = store.datasets.get(campaign.name, name)
        return store.structures.get(sorted(members))

    keep_neutral(
        store, (campaign.name, name), load, frames, say=campaign.observer.warning
    )


def _start(campaign: CampaignState, round_: int, kind: str) -> Trainable | None:
    """Return the model that a warm start goes on from: the same kind, a round before.

    Round 1 goes on from the pre-fine-tuned model; members of a committee, which are to
    differ, and the comparison without replay begin with the foundation model there.
    """
    config = campaign.config
    before = model_name(kind, round_ - 1)
    if round_ == 1 and kind == FIRE:
        before = PRE_FINE_TUNED
    elif round_ <= 1:
        return None
    row = campaign.store.models.get(campaign.name, before)
    if not training_of(config, kind).warm_start or row is None:
        return None
    return need_trainable(campaign.load(before))


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
        "adapted": tuned.adapted,
    }


def _dataset(
    campaign: CampaignState, round_: int, kind: str
) -> dict[Split, list[LabelledStructure]]:
    """Gather the labels so far and split them."""
    config = campaign.config
    rounds = 0 if kind == PRE_FINE_TUNED else round_
    keys = campaign.chosen_keys(0, PERTURB)
    for number in range(1, rounds + 1):
        keys += campaign.chosen_keys(number, SELECTED)
    labelled = campaign.store.labels.labelled(keys, campaign.theory())
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
        campaign.seed("split", rounds),
    )
    parts: dict[Split, list[LabelledStructure]] = {Split.TRAIN: [], Split.VALID: []}
    for item in labelled:
        parts[split[item.key]].append(item)
    member = member_number(kind)
    if member is not None:
        seed = campaign.seed("committee", rounds)
        parts[Split.TRAIN] = choose_subset(
            parts[Split.TRAIN], config.committee.fraction, seed=seed, member=member
        )
    return parts


def _enter_dataset(
    campaign: CampaignState, name: str, parts: dict[Split, list[LabelledStructure]]
) -> None:
    members = {item.key: part for part, items in parts.items() for item in items}
    campaign.store.datasets.save(campaign.name, name, members)
