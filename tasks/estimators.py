"""Estimators of a campaign's uncertainty, from its stored models and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms

from fire_core.backbones.base import Backbone, need_features
from fire_core.backbones.registry import load_configured
from fire_core.campaign import EXPLORE, member_kind
from fire_core.exploration.dynamics import DoubtingDriver
from fire_core.records import Split
from fire_core.training.data import sample_evenly
from fire_core.uncertainty.estimate import (
    CommitteeEstimator,
    build_last_layer,
    calibrate,
)
from fire_core.uncertainty.last_layer import sum_features
from tasks.label import theory_fingerprint
from tasks.naming import RunPlan, driver_of, dynamics_of, model_name
from tasks.replay import read_replay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.steps import DynamicsConfig
    from fire_core.exploration.batch import ReplicaBatch
    from fire_core.exploration.dynamics import Driver
    from fire_core.records import LabelledStructure
    from fire_core.storage.store import Store
    from fire_core.uncertainty.estimate import Estimator
    from tasks.context import CampaignRef

REHEARSED: Final = 256
"""Replay structures that stand for all that the model rehearses."""
CHUNK: Final = 64
"""Frames whose features are held at once."""


def is_led_by_uncertainty(config: CampaignConfig, round_: int) -> bool:
    """Say whether a round's candidates are judged by uncertainty.

    A committee is trained first after the first round's labels.
    """
    method = config.uncertainty.method
    return method == "last_layer" or (method == "committee" and round_ > 1)


def let_doubt(
    store: Store,
    config: CampaignConfig,
    ref: CampaignRef,
    plan: RunPlan,
    backbone: Driver,
) -> tuple[Driver, DynamicsConfig]:
    """Return what drives a run, with its doubt where a guard asks for it.

    The guard looks at the calibrated uncertainty of the worst atom. It rests where
    there is nothing to judge by yet, and on test trajectories.
    """
    dynamics = dynamics_of(config, plan.purpose)
    if dynamics.guards.max_uncertainty is None:
        return backbone, dynamics
    if plan.purpose != EXPLORE or not is_led_by_uncertainty(config, plan.round):
        guards = dynamics.guards.model_copy(update={"max_uncertainty": None})
        return backbone, dynamics.model_copy(update={"guards": guards})
    estimator = build_estimator(store, config, ref, plan.round)
    driver = driver_of(EXPLORE, plan.round)
    held = read_part(store, config, ref, driver, Split.VALID)
    calibration = calibrate(estimator, held).calibration

    def doubt(batch: ReplicaBatch) -> NDArray[np.float64]:
        frames = [
            Atoms(s.numbers, positions=s.positions, cell=s.cell, pbc=s.pbc)
            for s in batch.states
        ]
        raw = estimator.estimate(frames).raw
        return np.array([float(calibration.apply(part).max()) for part in raw])

    return DoubtingDriver(backbone, doubt), dynamics


def build_estimator(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int
) -> Estimator:
    """Return what judges the candidates that a round's driving model made."""
    driver = driver_of(EXPLORE, round_)
    model = _load(store, config, ref, driver)
    if config.uncertainty.method == "committee":
        names = [
            model_name(member_kind(n + 1), round_ - 1)
            for n in range(config.committee.members)
        ]
        return CommitteeEstimator(
            model, [_load(store, config, ref, name) for name in names]
        )
    model = need_features(model, "uncertainty.method: last_layer")
    learnt = read_part(store, config, ref, driver, Split.TRAIN)
    replay = read_replay(store, config.fine_tune.replay, model).data.train
    rehearsed = sample_evenly(replay, REHEARSED)
    atoms = [item.atoms for item in (*learnt, *rehearsed)]
    parts = (atoms[i : i + CHUNK] for i in range(0, len(atoms), CHUNK))
    summed = sum_features(rows for part in parts for rows in model.atom_features(part))
    held = read_part(store, config, ref, driver, Split.VALID)
    return build_last_layer(model, summed, held)


def _load(
    store: Store, config: CampaignConfig, ref: CampaignRef, name: str
) -> Backbone:
    path = store.blobs.path(store.need_model(ref.name, name).blob_sha)
    return load_configured(config.backbone, config.threads, path)


def read_part(
    store: Store, config: CampaignConfig, ref: CampaignRef, name: str, part: Split
) -> list[LabelledStructure]:
    """Return the labels of one part of a model's dataset."""
    members = store.get_dataset(ref.name, name)
    keys = sorted(key for key, split in members.items() if split is part)
    return store.get_labelled(keys, theory_fingerprint(store, config))
