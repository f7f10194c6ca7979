"""Settings of a structure check: pair distributions, coordination, density, cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from fire_core.config.base import Positive
from fire_core.config.steps import DynamicsConfig
from fire_core.properties.settings import Needs, PropertySettings

if TYPE_CHECKING:
    from pathlib import Path


class StructureCheckConfig(PropertySettings):
    """Structure at temperature, of the model's dynamics or of given trajectories."""

    kind: Literal["structure_check"] = "structure_check"
    dynamics: DynamicsConfig = DynamicsConfig(
        temperatures=(300.0,),
        replicas=1,
        steps=10_000,
        timestep=1.0,
        save_every=50,
        equilibration=2_000,
        segment=1_000,
    )
    """Of the model; with `barostat` density and cell are results too."""
    trajectories: tuple[str, ...] = ()
    """Extended XYZ files of periodic frames, taken instead of the model's dynamics;
    then `system` and `backbone` are left out."""
    temperature: Positive | None = None
    """Of the given trajectories, K; enters the conditions of the results alone."""
    cutoff: Annotated[float, Field(gt=0, le=20)] = 8.0
    """Largest distance, Å; it may exceed half of the cell."""
    bin_width: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Of the pair distributions, Å."""
    blocks: Annotated[int, Field(ge=2)] = 8
    """Parts of each trajectory whose averages are compared for the errors."""

    @model_validator(mode="after")
    def _no_ramps(self) -> Self:
        if any(isinstance(t, tuple) for t in self.dynamics.temperatures):
            msg = "a structure is checked at fixed temperatures, got a ramp"
            raise ValueError(msg)
        dynamics = self.dynamics
        frames = (dynamics.steps - dynamics.equilibration) // dynamics.save_every
        if not self.trajectories and frames < 2 * self.blocks:
            msg = (
                f"{self.blocks} blocks need {2 * self.blocks} frames at least, the "
                f"dynamics saves {frames}; take more steps, or save more often"
            )
            raise ValueError(msg)
        return self

    def needs(self) -> Needs:
        """Return that trajectories, where they are given, stand for the model."""
        if not self.trajectories:
            return Needs()
        return Needs(structure=False, model=False, files=self.trajectories)

    def resolve_files(self, base: Path) -> Self:
        """Return the same settings with absolute paths of trajectories."""
        if not self.trajectories:
            return self
        paths = tuple(str((base / path).resolve()) for path in self.trajectories)
        return self.model_copy(update={"trajectories": paths})
