"""Settings of the work of adhesion of an interface."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fire_core.config.base import Count, Positive
from fire_core.properties.settings import PropertySettings


class AdhesionConfig(PropertySettings):
    """Energy of an interface against that of its two slabs apart."""

    kind: Literal["adhesion"] = "adhesion"
    relax: bool = True
    """Relax the interface (of a periodic stack the height, too) and the slabs apart;
    without it everything stays as it was built."""
    force_tolerance: Positive = 0.02
    """Relaxations end below this force, eV/Å."""
    max_steps: Count = 1000
    """Steps of one relaxation, at most."""
    vacuum: Positive = 15.0
    """Empty space beside a slab apart, Å; at least the model's cutoff is taken."""
    closest: Annotated[float, Field(gt=-2, le=0)] = -0.4
    """First separation of the curve, Å beyond the interface's own gap."""
    farthest: Positive = 8.0
    """Last separation of the curve, Å."""
    spacing: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Å between two separations."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.farthest < 5 * self.spacing:
            msg = (
                f"farthest must be at least five spacings of {self.spacing} Å, got "
                f"{self.farthest}"
            )
            raise ValueError(msg)
        return self
