"""Names of a campaign's choices, runs and models, and what belongs to which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fire_core.backbones.registry import environment_of
from fire_core.seeds import derive_seed

if TYPE_CHECKING:
    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.steps import DynamicsConfig
    from fire_core.config.training import TrainConfig

PRE_FINE_TUNED: Final = "pre_fine_tuned"
FIRE: Final = "fire"
VANILLA: Final = "vanilla"
ZERO_SHOT: Final = "zero_shot"
COMMITTEE: Final = "committee"
"""Kinds of models."""
START: Final = "start"
ATOMS: Final = "isolated_atoms"
PERTURB: Final = "perturb"
SELECTED: Final = "selected"
EXPLORE: Final = "explore"
TEST: Final = "test"
"""What a choice of structures, or a run, is for."""
GATES_STEP: Final = "gates"
"""The step that holds a model against its gates."""


def work_queue_of(backbone: str) -> str | None:
    """Return the work queue of a pool whose workers have a backbone's environment.

    None where FIRE's own environment is enough: any worker of the pool.
    """
    family = environment_of(backbone)
    return None if family is None else f"backbone-{family}"


@dataclass(frozen=True, slots=True)
class RunPlan:
    """An MD run of a campaign: where it is stored and how far it has to go."""

    run_id: int
    purpose: str
    round: int
    model: str
    n_segments: int


def dynamics_of(config: CampaignConfig, purpose: str) -> DynamicsConfig:
    """Return the settings of the exploration or of the test trajectory."""
    return config.explore if purpose == EXPLORE else config.evaluate.dynamics


def driver_of(purpose: str, round_: int) -> str:
    """Return the name of the model that drives a run.

    Round 1 explores with the pre-fine-tuned model, later rounds and the test
    trajectory with the latest fine-tuned one.
    """
    if purpose == EXPLORE and round_ <= 1:
        return PRE_FINE_TUNED
    return model_name(FIRE, round_ - 1 if purpose == EXPLORE else round_)


def model_name(kind: str, round_: int) -> str:
    """Return the stored name of a round's model: `fire`, then `fire-2`, …."""
    return kind if round_ <= 1 or kind == PRE_FINE_TUNED else f"{kind}-{round_}"


def judged_models(config: CampaignConfig, round_: int) -> dict[str, str | None]:
    """Return the models that a round judges: their kind and stored name.

    The foundation model (`ZERO_SHOT`) has no stored name.
    """
    models: dict[str, str | None] = {
        ZERO_SHOT: None,
        PRE_FINE_TUNED: PRE_FINE_TUNED,
        FIRE: model_name(FIRE, round_),
    }
    if config.evaluate.vanilla:
        models[VANILLA] = model_name(VANILLA, round_)
    return models


def member_kind(number: int) -> str:
    """Return the kind of model that a committee's member is, 1 first."""
    return f"{COMMITTEE}-{number}"


def member_number(kind: str) -> int | None:
    """Return the number of a committee's member; None for other kinds."""
    head, _, tail = kind.rpartition("-")
    return int(tail) if head == COMMITTEE and tail.isdigit() else None


def training_of(config: CampaignConfig, kind: str) -> TrainConfig:
    """Return the settings of one kind of model; vanilla is fire without replay."""
    if kind == PRE_FINE_TUNED:
        return config.pre_fine_tune
    if kind == VANILLA:
        return config.fine_tune.model_copy(update={"strategy": "naive"})
    return config.fine_tune


def sub_seed(config: CampaignConfig, *path: str | int) -> int:
    """Return the seed of one step of a campaign; see `derive_seed`."""
    return derive_seed(config.seed, *path)
