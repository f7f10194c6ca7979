"""Settings of elastic constants at 0 K."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fire_core.config.base import Count, Positive
from fire_core.properties.settings import PropertySettings

Strain = Annotated[float, Field(gt=0, le=0.05)]


class TensorConfig(PropertySettings):
    """How an elastic tensor is made of stresses, at any temperature."""

    frame: Literal["crystal", "given"] = "crystal"
    """Axes of the tensor: those of the conventional cell as spglib standardises it (a
    along x, b in the xy plane; a triclinic cell is left as it is), or those of the
    structure as it is given."""
    symmetry: Literal["average", "reduce", "none"] = "average"
    """`average`: all six strains, the tensor made invariant under the point group.
    `reduce`: only the strains that the point group needs. `none`: all six strains, no
    symmetry but C_ij = C_ji."""
    symmetry_tolerance: Positive = 0.01
    """Å within which atoms count as equivalent."""


class ElasticityConfig(TensorConfig):
    """Elastic tensor at 0 K: stresses of a relaxed cell under small strains."""

    kind: Literal["elasticity"] = "elasticity"
    strains: Annotated[tuple[Strain, ...], Field(min_length=2)] = (0.0025, 0.005, 0.01)
    """Magnitudes, each taken with both signs."""
    order: Literal[2, 3] | None = None
    """Degree of the polynomial that each stress is fitted by: 3 takes the slope at
    zero, 2 the mean slope over all strains, for models whose energy is rough on the
    scale of the strains. Left out: 2 for two magnitudes, 3 for more."""
    relax: bool = True
    """Relax the ions in each strained cell; without it they follow affinely."""
    force_tolerance: Positive = 1e-4
    """Relaxations end below this force, eV/Å. It is to be small beside the forces that
    the smallest strain brings about, else the ions stay where they are; raise it where
    the noise of a model in single precision does not let it be reached."""
    max_steps: Count = 2000
    """Steps of one relaxation, at most."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.strains) != sorted(set(self.strains)):
            msg = f"strains must rise from the smallest, got {list(self.strains)}"
            raise ValueError(msg)
        if self.order == 3 and len(self.strains) < 3:
            msg = f"order 3 needs three magnitudes of strain, got {list(self.strains)}"
            raise ValueError(msg)
        return self
