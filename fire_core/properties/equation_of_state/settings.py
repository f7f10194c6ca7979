"""Settings of an equation of state."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fire_core.config.base import Positive
from fire_core.properties.settings import PropertySettings


class EquationOfStateConfig(PropertySettings):
    """Energy against volume, with the ions relaxed at each volume."""

    kind: Literal["equation_of_state"] = "equation_of_state"
    points: Annotated[int, Field(ge=5)] = 9
    """Volumes, evenly spaced in the linear strain."""
    strain: Annotated[float, Field(gt=0, le=0.1)] = 0.03
    """Largest linear strain either way of the relaxed cell."""
    relax: bool = True
    """Relax the ions at each volume; the cell's shape is kept."""
    force_tolerance: Positive = 0.005
    """Relaxations end below this force, eV/Å (and 0.01 GPa for the cell)."""
    max_steps: Annotated[int, Field(ge=1)] = 500
    """Steps of one relaxation, at most."""

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.points % 2 == 0:
            msg = (
                f"an odd number of points, so that one is unstrained, got {self.points}"
            )
            raise ValueError(msg)
        return self
