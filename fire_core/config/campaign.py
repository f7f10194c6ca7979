"""The description of one campaign, as a person writes it in YAML."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, field_validator

from fire_core.config.base import Count, Part
from fire_core.config.steps import (
    BackboneConfig,
    DynamicsConfig,
    EvaluateConfig,
    PerturbConfig,
    SelectConfig,
)
from fire_core.config.system import SystemConfig
from fire_core.config.theory import LabelConfig, TheoryConfig, XtbTheory
from fire_core.config.training import CommitteeConfig, TrainConfig

STUDY_PREFIX: Final = "study-"
"""Begins the name of a study in the store; no campaign may be called so."""


class StoreConfig(Part):
    """Where everything is kept."""

    url: str = "sqlite:///.fire/fire.db"
    """SQLAlchemy URL; a relative SQLite path is taken from the working directory."""
    blobs: str = ".fire/blobs"
    """Folder of checkpoints and other files, each named by its sha256."""


class CampaignConfig(Part):
    """One FIRE campaign: from a system to a fine-tuned, judged model."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """Lower-case letters, digits and dashes; names the campaign in the store."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Source of every random number of the campaign."""
    rounds: Count = 1
    """Rounds of explore, select, label, train after the pre-fine-tune."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of training and dynamics; 0 takes every core."""
    system: SystemConfig
    theory: TheoryConfig = XtbTheory()
    label: LabelConfig = LabelConfig()
    backbone: BackboneConfig = BackboneConfig()
    perturb: PerturbConfig = PerturbConfig()
    pre_fine_tune: TrainConfig = TrainConfig()
    explore: DynamicsConfig = DynamicsConfig()
    select: SelectConfig = SelectConfig()
    fine_tune: TrainConfig = TrainConfig()
    committee: CommitteeConfig = CommitteeConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    store: StoreConfig = StoreConfig()
    results: str | None = None
    """Folder of the report; `results/NAME` when left out."""

    @field_validator("name")
    @classmethod
    def _no_study(cls, name: str) -> str:
        if name.startswith(STUDY_PREFIX):
            msg = f"names that begin with {STUDY_PREFIX} are kept for `fire study`"
            raise ValueError(msg)
        return name
