"""Names of a campaign's runs and models, and what drives which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fire_core.campaign import EXPLORE, FIRE, PRE_FINE_TUNED

if TYPE_CHECKING:
    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.steps import DynamicsConfig


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
    return kind if round_ <= 1 else f"{kind}-{round_}"
