"""Settings of elastic constants at a temperature."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fire_core.config.base import Count, Positive, Timestep
from fire_core.config.ensemble import BarostatConfig
from fire_core.properties.elasticity.settings import Strain, TensorConfig


class ThermalElasticityConfig(TensorConfig):
    """Isothermal elastic tensor: mean stresses of strained cells in MD."""

    kind: Literal["thermal_elasticity"] = "thermal_elasticity"
    symmetry: Literal["average", "reduce", "none"] = "reduce"
    """As for `elasticity`; each strain is two molecular-dynamics runs."""
    temperature: Positive = 300.0
    """K."""
    strain: Strain = 0.01
    """Magnitude, taken with both signs."""
    cell: Literal["mean", "relaxed", "given"] = "mean"
    """What is strained: the mean cell at the temperature and zero pressure, the cell
    relaxed at 0 K, or the given one."""
    axes: Literal["isotropic", "each"] = "isotropic"
    """What the barostat moves for the mean cell: the volume at the relaxed shape, or
    the lengths along x, y and z."""
    cell_steps: Count = 5000
    """MD steps for the mean cell."""
    steps: Count = 10_000
    """MD steps of each strained cell."""
    equilibration: Annotated[int, Field(ge=0)] = 2000
    """Steps left out of each mean."""
    timestep: Timestep = 2.0
    """fs."""
    friction: Positive = 0.01
    """Langevin friction, 1/fs."""
    sample_every: Count = 10
    """MD steps between two stresses of a mean."""
    segment: Count = 1000
    """Steps between two commits to the store; a kill repeats at most this."""
    blocks: Annotated[int, Field(ge=4)] = 10
    """Parts of a run whose means tell its error."""
    relaxation: Positive = 500.0
    """Relaxation time of the barostat, fs."""
    compressibility: Positive = 0.03
    """1/GPa; an estimate will do (`explore.barostat`)."""
    force_tolerance: Positive = 0.005
    """The relaxation at 0 K ends below this force, eV/Å."""
    max_steps: Count = 1000
    """Steps of that relaxation, at most."""
    largest_move: Positive = 15.0
    """Stop when an atom has left its start by more than this, Å."""

    @property
    def barostat(self) -> BarostatConfig:
        """Zero pressure, for the mean cell."""
        return BarostatConfig(
            axes=self.axes,
            relaxation=self.relaxation,
            compressibility=self.compressibility,
        )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        for name in ("steps", "cell_steps", "segment", "equilibration"):
            if getattr(self, name) % self.sample_every:
                msg = (
                    f"{name} must be a multiple of sample_every = "
                    f"{self.sample_every}, got {getattr(self, name)}"
                )
                raise ValueError(msg)
        shortest = min(self.steps, self.cell_steps) - self.equilibration
        if shortest < self.blocks * self.sample_every:
            msg = (
                f"{shortest} steps are left after equilibration, too few for "
                f"{self.blocks} blocks of samples; raise steps or cell_steps"
            )
            raise ValueError(msg)
        return self
