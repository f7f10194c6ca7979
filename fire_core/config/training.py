"""How a model is fine-tuned: strategy, replay, reference energies, what adapts."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from ase.data import chemical_symbols
from pydantic import Field, model_validator

from fire_core.config.base import Count, Fraction, NonNegative, Part, Positive

Strategy = Literal[
    "scratch", "naive", "replay", "multihead_replay", "pseudolabel_replay"
]
Module = Literal["embedding", "interactions", "products", "readouts"]
ORIGIN: Final = frozenset({"recipe", "from_recipe"})
"""Settings that say where others come from; what is trained depends on the others."""


class ReplayConfig(Part):
    """Rehearsal of pre-training data beside the refined data."""

    source: str = "bundled"
    """`bundled`; the path of an extxyz file with energies and forces, which is indexed
    if it is large, or of an index (`fire replay index`); `store:` and the fingerprint
    of a theory level, for its labels when the campaign first asks; or `mptrj`,
    Materials Project trajectories, fetched when first used. What a model is watched
    or judged on is never rehearsed."""
    ratio: NonNegative = 4.0
    """Replay frames to each target frame; every optimiser step has its share of them,
    and one at least. Many frames that count little disturb the target less than few
    that count much."""
    draw: Literal["all", "shared_elements", "diverse"] = "all"
    """From the whole set; from frames that share an element with the target; or from
    a diverse pool, chosen by farthest points in the foundation model's features."""
    pool: Count = 1000
    """Frames in the pool of `draw: diverse`."""
    weight: Positive = 0.025
    """Loss weight of a replay frame relative to a target frame: together all of them
    weigh ratio × weight times what the target weighs, whatever the sizes of frames."""


class ReferenceConfig(Part):
    """What brings the target's energies to the foundation model's scale."""

    method: Literal["least_squares", "isolated_atoms", "keep"] = "least_squares"
    """Fit a constant for each element to the foundation model's residual; take the
    difference of isolated atoms; or leave the energies as they are."""
    isolated_atoms: dict[str, float] = Field(default_factory=dict)
    """Energy of each isolated atom at the target's theory level, eV. With
    `isolated_atoms` a campaign labels those that are left out, once for each theory
    level; with `least_squares` they decide what the compositions cannot."""
    under_determined: Literal["shift_determined", "refuse"] = "shift_determined"
    """What to do when the compositions cannot tell elements apart, or only with a
    standard error above 0.1 eV: shift what they determine (smallest shift that fits),
    or stop."""

    @model_validator(mode="after")
    def _atoms_given(self) -> Self:
        unknown = sorted(set(self.isolated_atoms) - set(chemical_symbols[1:]))
        if unknown:
            msg = f"isolated_atoms: {', '.join(unknown)} is no chemical symbol"
            raise ValueError(msg)
        return self


class LoraConfig(Part):
    """Low-rank adapters (Hu et al. 2021, equivariant as mace-torch has them)."""

    rank: Count = 4
    """Rank of each adapter: larger ones can change the model more."""
    alpha: Positive = 4.0
    """The adapter's output is multiplied by alpha / rank."""


class StoppingConfig(Part):
    """When a training ends early, and which epoch is kept.

    An epoch counts when its forgetting is within bounds; of those the one with the
    lowest validation error of the target is kept.
    """

    patience: Count = 10
    """Epochs without a better one after which training ends."""
    max_forgetting: Annotated[float, Field(gt=0)] = 1.1
    """Most that the force error on held-out pre-training data may become, as a
    multiple of the foundation model's."""


class SecondStageConfig(Part):
    """The last epochs, in which energies weigh heavily and the rate is low."""

    part: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Part of all epochs that are of the second stage, one at least."""
    learning_rate: Annotated[float, Field(ge=0)] = 0.0
    """Its peak; 0: a tenth of the first stage's."""
    energy_weight: NonNegative = 100.0
    """Weight of energies per atom in the loss, eV."""
    forces_weight: NonNegative = 10.0
    """Weight of forces in the loss, eV/Å."""
    stress_weight: NonNegative = 1.0
    """Weight of stresses in the loss, eV/Å³; 0 leaves them out."""


class TrainConfig(Part):
    """Fine-tuning on labels, with or without rehearsal of the pre-training data."""

    strategy: Strategy = "replay"
    """`scratch` starts from random weights; `naive` trains on the target alone;
    `replay` rehearses a fresh subsample of the pre-training set every epoch;
    `multihead_replay` does so on a readout head of its own, for another theory
    level; `pseudolabel_replay` rehearses predictions of the foundation model."""
    adapt: Literal["auto", "all", "elements"] = "auto"
    """What may change of the model: `all` weights that are not frozen, or `elements`,
    weights that only atoms of the target's elements have. Structures without any of
    these elements are then computed as before, so nothing is forgotten of them, and
    replay rehearses the others. `auto`: `elements` for SevenNet (computed by FIRE),
    unless something is asked for that does not go with it, `all` for other models."""
    recipe: Literal["auto", "none"] = "auto"
    """Where learning rate, batch, weights of the loss and of decay, average and
    clipping come from when they are left out: `auto`, of a published MACE model what
    its authors advise (`fire backbone recipe`), of others the defaults below; `none`:
    the defaults."""
    from_recipe: tuple[str, ...] = ()
    """Settings that were taken from the model's recipe; filled in by FIRE."""
    freeze: tuple[Module, ...] = ()
    """Parts of the model that do not change."""
    lora: LoraConfig | None = None
    """Train low-rank adapters in place of the weights."""
    warm_start: bool = False
    """From the second model of a campaign on, start from the weights of the round
    before; left out, every round starts from the foundation model. What is forgotten is
    measured against the foundation model either way."""
    epochs: Count = 40
    """Passes over the target's structures."""
    batch_frames: Count = 2
    """Target frames of one optimiser step, which replay frames join: an epoch has as
    many steps with replay as without."""
    part_atoms: Annotated[int, Field(ge=0)] = 0
    """Most atoms of a step computed at once, for the sake of memory; what is learnt
    does not change. 0: 512 on a CPU; on a GPU a whole step, halved where memory is
    short."""
    devices: Annotated[int, Field(ge=0)] = 1
    """Processes that share each step, one for each GPU, or with an equal share of the
    cores where there is none; 0: one for each GPU. The members of a committee stand
    side by side instead, one device each."""
    learning_rate: Positive = 2e-3
    """Peak; warmed up, then annealed to a hundredth by a cosine."""
    weight_decay: NonNegative = 0.0
    """L2 weight decay of the optimiser (Adam)."""
    energy_weight: NonNegative = 1.0
    """Weight of energies per atom in the loss, eV."""
    forces_weight: NonNegative = 10.0
    """Weight of forces in the loss, eV/Å."""
    stress_weight: NonNegative = 1.0
    """Weight of stresses in the loss, eV/Å³; 0 leaves them out."""
    second_stage: SecondStageConfig | None = None
    """Settings of the last epochs; left out, all are alike."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.98
    """Decay of the exponential moving average that is kept as the model; 0: off."""
    clip: Positive = 10.0
    """Largest gradient norm."""
    valid_fraction: Fraction = 0.1
    """Part of the labelled structures kept for validation."""
    references: ReferenceConfig = ReferenceConfig()
    stopping: StoppingConfig | None = None
    """Early stopping; left out, every epoch is run and the last one kept."""
    replay: ReplayConfig = ReplayConfig()

    @property
    def rehearses(self) -> bool:
        """Whether any replay frame enters an epoch."""
        return self.strategy not in {"scratch", "naive"} and self.replay.ratio > 0

    @property
    def without_effect(self) -> set[str]:
        """Settings that change no step: with them or not, a training is the same.

        What came later and is left out is among them, so that trainings of before are
        still known.
        """
        later = {"second_stage"} if self.second_stage is None else set()
        return {*ORIGIN, *later}

    @property
    def against_elements(self) -> list[str]:
        """What is asked for that does not go with `adapt: elements`."""
        others = {
            "strategy: scratch": self.strategy == "scratch",
            "strategy: multihead_replay": self.strategy == "multihead_replay",
            "lora": self.lora is not None,
            "freeze": bool(self.freeze),
            "weight_decay": self.weight_decay > 0,
        }
        return [other for other, asked in others.items() if asked]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.strategy == "scratch" and (self.freeze or self.lora):
            msg = "scratch trains every weight: leave out freeze and lora"
            raise ValueError(msg)
        if self.lora and self.freeze:
            msg = "lora already keeps every weight fixed: leave out freeze"
            raise ValueError(msg)
        for other in self.against_elements if self.adapt == "elements" else ():
            msg = f"adapt: elements does not go with {other}: leave one of them out"
            raise ValueError(msg)
        if self.second_stage is not None and self.epochs < 2:
            msg = "second_stage needs at least two epochs: set epochs, or leave it out"
            raise ValueError(msg)
        if self.warm_start and self.strategy in {"scratch", "multihead_replay"}:
            msg = f"warm_start does not go with {self.strategy}: leave it out"
            raise ValueError(msg)
        if len(set(self.freeze)) == 4:
            msg = "freeze names every part of the model: nothing is left to train"
            raise ValueError(msg)
        return self


class CommitteeConfig(Part):
    """Further models like the fine-tuned one, whose spread is its uncertainty."""

    members: Annotated[int, Field(ge=0, le=64)] = 0
    """Models in the committee; 0: none."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Part of the training labels that each member learns from."""
    parallel: Annotated[int, Field(ge=0)] = 0
    """Members trained at once, each in a process of its own; 0: one for each GPU, or
    two without."""
