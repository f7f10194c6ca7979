"""Settings of phonons by finite displacements."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fire_core.config.base import Count, Positive
from fire_core.properties.settings import PropertySettings


class PhononsConfig(PropertySettings):
    """Harmonic phonons: bands, density of states, heat capacity, sound."""

    kind: Literal["phonons"] = "phonons"
    supercell: tuple[Count, Count, Count] | None = None
    """Repeats of the cell; left out: until every length reaches `min_length`."""
    min_length: Positive = 10.0
    """Å; twice the model's cutoff loses nothing of its forces."""
    max_atoms: Count = 600
    """A larger supercell is refused."""
    displacement: Annotated[float, Field(gt=0, le=0.1)] = 0.01
    """Å."""
    relax: bool = True
    """Relax ions and cell first; a cell under stress has other phonons."""
    force_tolerance: Positive = 1e-3
    """Of that relaxation, eV/Å."""
    max_steps: Count = 1000
    """Of that relaxation."""
    symprec: Positive = 1e-3
    """Tolerance in which symmetry is looked for, Å."""
    mesh: Positive = 30.0
    """Density of the q-points: Å of real space that they resolve."""
    temperatures: Annotated[tuple[Positive, ...], Field(min_length=1)] = (300.0,)
    """Of the heat capacities that are reported, K."""
    imaginary_limit: Positive = 0.1
    """THz; modes below minus this are called imaginary, those above are numerical."""
