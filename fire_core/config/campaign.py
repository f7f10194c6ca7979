"""The description of one campaign, as a person writes it in YAML."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Self

from pydantic import Field, field_validator, model_validator

from fire_core.config.base import Count, Part
from fire_core.config.environment import default_blobs, default_database
from fire_core.config.open_sets import SELECTORS
from fire_core.config.recipes import follow_recipes
from fire_core.config.spending import ApprovalConfig, BudgetConfig
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
from fire_core.config.uncertainty import UncertaintyConfig

STUDY_PREFIX: Final = "study-"
"""Begins the name of a study in the store; no campaign may be called so."""
TRAININGS: Final = ("pre_fine_tune", "fine_tune")
"""Where a campaign describes trainings."""


class StoreConfig(Part):
    """Where everything is kept."""

    url: str = Field(default_factory=default_database)
    """SQLAlchemy URL, sqlite:///PATH or postgresql://USER@HOST/DATABASE without a
    password (set PGPASSWORD or write ~/.pgpass). A relative SQLite path is taken from
    the working directory. Left out: the environment variable FIRE_DB, else
    sqlite:///.fire/fire.db."""
    blobs: str = Field(default_factory=default_blobs)
    """Folder of checkpoints and other files, each named by its sha256. Left out: the
    environment variable FIRE_BLOBS, else .fire/blobs."""

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str) -> str:
        if re.match(r"[^/]*//[^/@:]*:[^/@]+@", url):
            msg = (
                "a URL without a password, which would be kept with every run: leave "
                "it out and set PGPASSWORD, or write it to ~/.pgpass"
            )
            raise ValueError(msg)
        return url


class CampaignConfig(Part):
    """One FIRE campaign: from a system to a fine-tuned, judged model."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """Lower-case letters, digits and dashes; names the campaign in the store."""
    owner: Annotated[str, Field(max_length=64)] = ""
    """Who to ask about it; left out: whoever starts it on the console."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Source of every random number of the campaign."""
    rounds: Count = 1
    """Rounds of explore, select, label, train after the pre-fine-tune; the most of them
    where `uncertainty` leads."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of training and dynamics; 0 takes every core."""
    system: SystemConfig
    theory: TheoryConfig = XtbTheory()
    label: LabelConfig = LabelConfig()
    budget: BudgetConfig = BudgetConfig()
    approval: ApprovalConfig = ApprovalConfig()
    backbone: BackboneConfig = BackboneConfig()
    perturb: PerturbConfig = PerturbConfig()
    pre_fine_tune: TrainConfig = TrainConfig()
    explore: DynamicsConfig = DynamicsConfig()
    select: SelectConfig = SelectConfig()
    fine_tune: TrainConfig = TrainConfig()
    committee: CommitteeConfig = CommitteeConfig()
    uncertainty: UncertaintyConfig = UncertaintyConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    store: StoreConfig = Field(default_factory=StoreConfig)
    results: str | None = None
    """Folder of the report; left out: a folder of the campaign's name in the one that
    the environment variable FIRE_RESULTS names, else in `results`."""

    @model_validator(mode="before")
    @classmethod
    def _follow_recipes(cls, raw: Any) -> Any:
        """Fill up trainings of a published model with what its authors advise."""
        return follow_recipes(raw, TRAININGS)

    @field_validator("name")
    @classmethod
    def _no_study(cls, name: str) -> str:
        if name.startswith(STUDY_PREFIX):
            msg = f"names that begin with {STUDY_PREFIX} are kept for `fire study`"
            raise ValueError(msg)
        return name

    @model_validator(mode="after")
    def _enough_candidates(self) -> Self:
        run = self.explore
        saved = run.replicas * ((run.steps - run.equilibration) // run.save_every)
        if self.select.n > saved:
            msg = (
                f"select.n is {self.select.n}, but a round of explore saves {saved} "
                "candidates; lower it, or raise explore.steps or explore.replicas"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _uncertainty_has_a_source(self) -> Self:
        if self.uncertainty.method == "committee" and self.committee.members < 2:
            msg = (
                "uncertainty.method committee wants committee.members of 2 or more, "
                f"got {self.committee.members}"
            )
            raise ValueError(msg)
        method = self.select.method
        if (
            self.uncertainty.method == "none"
            and SELECTORS.load(method).needs_uncertainty
        ):
            msg = (
                f"select.method {method} wants uncertainties: set uncertainty.method "
                "to committee or last_layer, or choose another method"
            )
            raise ValueError(msg)
        limit = self.explore.guards.max_uncertainty
        if limit is not None and self.uncertainty.method == "none":
            msg = (
                f"explore.guards.max_uncertainty is {limit:g}, but nothing says how "
                "uncertain the model is; set uncertainty.method to committee or "
                "last_layer, or leave the limit out"
            )
            raise ValueError(msg)
        return self
