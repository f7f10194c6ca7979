"""Estimators of a campaign's uncertainty, from its stored models and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms

from fire_core.backbones.base import drives_dynamics, need_features
from fire_core.campaign.names import (
    EXPLORE,
    RunPlan,
    driver_of,
    dynamics_of,
    member_kind,
    model_name,
)
from fire_core.campaign.steps.replay import read_replay
from fire_core.exploration.committees import BatchedSpread
from fire_core.exploration.dynamics import DriverWithUncertainty
from fire_core.records import Split
from fire_core.training.data import sample_evenly
from fire_core.uncertainty.estimate import (
    CommitteeEstimator,
    LastLayerEstimator,
    build_last_layer,
    calibrate,
)
from fire_core.uncertainty.last_layer import sum_features

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fire_core.campaign.state import CampaignState
    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.steps import DynamicsConfig
    from fire_core.exploration.batch import ReplicaBatch
    from fire_core.exploration.dynamics import Driver
    from fire_core.uncertainty.estimate import Estimator

    Deviations = Callable[[ReplicaBatch], list[NDArray[np.float64]]]

REHEARSED: Final = 256
"""Replay structures that stand for all that the model rehearses."""
CHUNK: Final = 64
"""Frames whose features are held at once."""


def is_led_by_uncertainty(config: CampaignConfig, round_: int) -> bool:
    """Return whether a round's candidates are judged by uncertainty.

    A committee is trained first after the first round's labels.
    """
    method = config.uncertainty.method
    return method == "last_layer" or (method == "committee" and round_ > 1)


def guard_by_uncertainty(
    campaign: CampaignState, plan: RunPlan, backbone: Driver
) -> tuple[Driver, DynamicsConfig]:
    """Return what drives a run, with its uncertainty where a guard asks for it.

    The guard looks at the calibrated uncertainty of the worst atom. It rests where
    there is nothing to judge by yet, and on test trajectories.
    """
    config = campaign.config
    dynamics = dynamics_of(config, plan.purpose)
    if dynamics.guards.max_uncertainty is None:
        return backbone, dynamics
    if plan.purpose != EXPLORE or not is_led_by_uncertainty(config, plan.round):
        guards = dynamics.guards.model_copy(update={"max_uncertainty": None})
        return backbone, dynamics.model_copy(update={"guards": guards})
    estimator = build_estimator(campaign, plan.round)
    held = campaign.part(driver_of(EXPLORE, plan.round), Split.VALID)
    calibration = calibrate(estimator, held).calibration

    deviations = _batched_deviations(estimator)

    def doubt(batch: ReplicaBatch) -> NDArray[np.float64]:
        raw = deviations(batch)
        return np.array([float(calibration.apply(part).max()) for part in raw])

    return DriverWithUncertainty(backbone, doubt), dynamics


def _batched_deviations(estimator: Estimator) -> Deviations:
    """Return what gives the raw uncertainty of each replica's atoms, (n_atoms,).

    A committee that drives dynamics computes all replicas at once, on its device; a
    last layer their features, and no forces anew.
    """
    if isinstance(estimator, CommitteeEstimator):
        members: list[Any] = list(estimator.members)
        if all(drives_dynamics(member) for member in members):
            return BatchedSpread([member.batched_model() for member in members])

    def by_frames(batch: ReplicaBatch) -> list[NDArray[np.float64]]:
        frames = [
            Atoms(s.numbers, positions=s.positions, cell=s.cell, pbc=s.pbc)
            for s in batch.states
        ]
        if isinstance(estimator, LastLayerEstimator):
            return estimator.deviations(frames)
        return list(estimator.estimate(frames).raw)

    return by_frames


def build_estimator(campaign: CampaignState, round_: int) -> Estimator:
    """Return what judges the candidates that a round's driving model made."""
    config = campaign.config
    driver = driver_of(EXPLORE, round_)
    model = campaign.load(driver)
    if config.uncertainty.method == "committee":
        names = [
            model_name(member_kind(n + 1), round_ - 1)
            for n in range(config.committee.members)
        ]
        return CommitteeEstimator(model, [campaign.load(name) for name in names])
    model = need_features(model, "uncertainty.method: last_layer")
    learnt = campaign.part(driver, Split.TRAIN)
    source = config.fine_tune.replay
    replay = read_replay(campaign.store, source, model, campaign.name).data.train
    rehearsed = sample_evenly(replay, REHEARSED)
    atoms = [item.atoms for item in (*learnt, *rehearsed)]
    parts = (atoms[i : i + CHUNK] for i in range(0, len(atoms), CHUNK))
    summed = sum_features(rows for part in parts for rows in model.atom_features(part))
    held = campaign.part(driver, Split.VALID)
    return build_last_layer(model, summed, held)
