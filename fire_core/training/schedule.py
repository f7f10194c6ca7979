"""What each epoch is trained with: learning rate and weights of the loss.

With a second stage the last epochs weigh energies heavily at a low rate, as mace's
second stage does (`--swa`): forces, of which a frame has hundreds, teach the shape of
the energy surface first; its level is settled once they no longer move it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fire_core.config.training import TrainConfig

WARM_UP: Final = 0.05  # part of all steps


@dataclass(frozen=True, slots=True)
class Schedule:
    """Stages of a training.

    Attributes
    ----------
    config
        Settings.
    first
        Epochs of the first stage; the others are of the second.
    """

    config: TrainConfig
    first: int

    @classmethod
    def of(cls, config: TrainConfig) -> Schedule:
        """Return the stages that settings ask for."""
        second = config.second_stage
        if second is None:
            return cls(config, config.epochs)
        later = min(config.epochs - 1, max(1, round(second.part * config.epochs)))
        return cls(config, config.epochs - later)

    def weights(self, epoch: int) -> TrainConfig:
        """Return the settings with the weights of the loss that an epoch has."""
        second = self.config.second_stage
        if second is None or epoch < self.first:
            return self.config
        return self.config.model_copy(
            update={
                "energy_weight": second.energy_weight,
                "forces_weight": second.forces_weight,
                "stress_weight": second.stress_weight,
            }
        )

    def rate(self, progress: float) -> float:
        """Return the learning rate after so many epochs, a part of one counts too.

        Each stage has its peak, and anneals from it to a hundredth by a cosine; the
        first is warmed up.
        """
        second = self.config.second_stage
        if second is None or progress < self.first:
            return self.config.learning_rate * rate_factor(progress / self.first)
        later = self.config.epochs - self.first
        peak = second.learning_rate or 0.1 * self.config.learning_rate
        return peak * _cosine((progress - self.first) / later)


def rate_factor(progress: float) -> float:
    """Return the factor on the peak rate: linear warm-up, then cosine to 1 %.

    `progress` is the part of the stage that is done, 0 to 1.
    """
    if progress < WARM_UP:
        return max(progress / WARM_UP, 0.05)
    return _cosine((progress - WARM_UP) / (1.0 - WARM_UP))


def _cosine(progress: float) -> float:
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
