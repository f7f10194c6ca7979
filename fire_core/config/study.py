"""The description of one study: which trainings are compared on which data."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fire_core.config.base import Count, Part
from fire_core.config.campaign import STUDY_PREFIX, StoreConfig
from fire_core.config.open_sets import SELECTORS
from fire_core.config.recipes import backbone_of, follow_recipe, follow_recipes
from fire_core.config.steps import BackboneConfig, SoapConfig
from fire_core.config.training import TrainConfig
from fire_core.config.variants import NameOf

STORED: Final = "stored"
"""Context of a validation: the study ran already, perhaps under another release."""

Selection = Annotated[str, NameOf(SELECTORS)]
SIZE_MEANS = "a fraction of the pool such as 0.1 or 1.0, or a count of at least 2"


def _check_size(value: object) -> object:
    """Refuse what is neither a fraction of the pool nor a number of frames."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 2
    is_fraction = isinstance(value, float) and 0 < value <= 1
    if not (is_count or is_fraction):
        msg = f"expected {SIZE_MEANS}, got {value!r}"
        raise ValueError(msg)
    return value


Size = Annotated[int | float, BeforeValidator(_check_size)]
VariantName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


class TrajectoryConfig(Part):
    """One file of labelled frames of one trajectory, in the order of time."""

    path: str
    """extxyz with energies and forces; taken from the study file's folder."""
    every: Count = 1
    """Keep one frame of so many, counted from the first."""


class EndBlockConfig(Part):
    """The end of each trajectory, which no training sees.

    Frames of one trajectory resemble their neighbours, so they are divided by time
    and never at random.
    """

    last: Count | None = None
    """Frames at the end of each trajectory; this or `fraction`."""
    fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Part of each trajectory, at its end; at least one frame."""
    gap: Annotated[int, Field(ge=0)] = 0
    """Frames before the test block that are left out altogether."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.last is None) == (self.fraction is None):
            msg = "give one of `last` (frames) and `fraction`, such as {last: 15}"
            raise ValueError(msg)
        return self


class StudyConfig(Part):
    """Variants × sizes × selection × seeds, all judged on the same frames.

    Every combination is one training, a cell. All frames must be labelled at one
    theory level.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,54}$")]
    """Lower-case letters, digits and dashes; names the study in the store."""
    data: Annotated[tuple[TrajectoryConfig, ...], Field(min_length=1)]
    """Each a trajectory; what is not in a test block is the training pool."""
    test: EndBlockConfig
    """What every model is judged on."""
    backbone: BackboneConfig = BackboneConfig()
    """What every variant starts from; `scratch` takes its architecture alone."""
    train: TrainConfig = TrainConfig()
    """Settings that all variants share."""
    variants: Annotated[dict[VariantName, TrainConfig], Field(min_length=1)]
    """What is compared: a name, and the keys of `train` that it changes. All take the
    same optimiser steps: `epochs`, `batch_frames` and `valid_fraction` are said in
    `train`."""
    sizes: Annotated[tuple[Size, ...], Field(min_length=1)] = (0.1, 0.25, 0.5, 1.0)
    """Labels to train on, validation included: fractions of the pool, or counts."""
    selection: Annotated[tuple[Selection, ...], Field(min_length=1)] = ("kmeans",)
    """How they are chosen: FIRE's SOAP, PCA and K-means; farthest points in the same
    space; at random; or by another selector that needs no uncertainties."""
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1)
    ] = (0, 1, 2)
    """Each repeats everything: choice of frames, validation, weights, order."""
    soap: SoapConfig = SoapConfig()
    """Descriptor of the selection."""
    pca_components: Count = 12
    """Most components kept."""
    pca_variance: Annotated[float, Field(gt=0, le=1)] = 0.999
    """Variance to keep; the smaller of the two limits holds."""
    forgetting: str | None = None
    """Replay source whose held-out part measures forgetting, for every variant alike;
    left out, that of the first variant that rehearses."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Threads of training; 0 takes every core."""
    store: StoreConfig = StoreConfig()
    """Where cells, checkpoints and models are kept."""
    results: str | None = None
    """Folder of the report; `results/study-NAME` when left out."""

    @property
    def key(self) -> str:
        """Name of the study in the store, apart from campaigns'."""
        return f"{STUDY_PREFIX}{self.name}"

    @property
    def folder(self) -> str:
        """Folder of the report."""
        return self.results or f"results/{self.key}"

    @property
    def forgetting_source(self) -> str:
        """Replay source whose held-out part measures forgetting."""
        rehearsing = [v for v in self.variants.values() if v.rehearses]
        return self.forgetting or (rehearsing or [self.train])[0].replay.source

    @model_validator(mode="before")
    @classmethod
    def _complete_variants(cls, raw: Any) -> Any:
        """Fill each variant up with what `train` says."""
        if not isinstance(raw, dict) or not isinstance(raw.get("variants"), dict):
            return raw
        raw = raw | {"variants": {k: v or {} for k, v in raw["variants"].items()}}
        shared = raw.get("train") or {}
        if isinstance(shared, TrainConfig):
            shared = shared.model_dump()
        try:
            TrainConfig.model_validate(shared)
        except ValidationError:
            return raw  # reported once, under `train`
        backbone = backbone_of(raw)
        complete = {
            name: follow_recipe(merged, backbone)
            if isinstance(merged, dict)
            else merged
            for name, changes in raw["variants"].items()
            for merged in [_merge(shared, changes)]
        }
        return follow_recipes(raw | {"variants": complete}, ("train",))

    @model_validator(mode="after")
    def _atoms_given(self) -> Self:
        """Refuse isolated atoms without numbers: a study has no code to label them."""
        for name, variant in self.variants.items():
            references = variant.references
            wants = references.method == "isolated_atoms"
            if wants and not references.isolated_atoms:
                msg = (
                    f"variant {name}: references.method isolated_atoms needs "
                    "isolated_atoms in a study, such as {Li: -0.3, …}"
                )
                raise ValueError(msg)
        return self

    @field_validator("sizes", "selection", "seeds")
    @classmethod
    def _without_repeats(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            msg = f"every entry once, got {list(values)}"
            raise ValueError(msg)
        return values

    @field_validator("selection")
    @classmethod
    def _without_uncertainties(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if SELECTORS.load(name).needs_uncertainty:
                msg = f"{name} chooses by uncertainties, which a study has not"
                raise ValueError(msg)
        return names

    @model_validator(mode="after")
    def _equal_steps(self, info: ValidationInfo) -> Self:
        """Refuse variants whose difference would be one of optimiser steps.

        Studies of before this was refused are read from the store as they are.
        """
        if info.context == STORED:
            return self
        for name, variant in self.variants.items():
            for key in ("epochs", "batch_frames", "valid_fraction"):
                mine, shared = getattr(variant, key), getattr(self.train, key)
                if mine != shared:
                    msg = (
                        f"variants.{name}: {key} is {mine}, train's is {shared}: "
                        "variants are compared at equal optimiser steps; say it in "
                        "`train`, for all, or run another study"
                    )
                    raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_device_each(self) -> Self:
        for name, settings in self.variants.items():
            if settings.devices != 1:
                msg = (
                    f"variants.{name}: devices is {settings.devices}, but a study's "
                    "trainings run on one device each, so that their times compare; "
                    "leave it out"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _no_regions(self) -> Self:
        if self.soap.average == "species_region":
            msg = "soap.average: a file has no regions; take species or frame"
            raise ValueError(msg)
        return self


def _merge(shared: Any, changes: Any) -> Any:
    """Return `shared` with the keys of `changes` put over it, at any depth."""
    if not isinstance(shared, dict) or not isinstance(changes, dict):
        return changes
    merged = dict(shared)
    for key, value in changes.items():
        deep = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = _merge(merged[key], value) if deep else value
    return merged
