"""When a molecular-dynamics replica is stopped or taken back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fire_core.config.base import Count, Part, Positive


class GuardConfig(Part):
    """When a replica is stopped or taken back; the run goes on around it."""

    min_distance_factor: Positive = 0.55
    """Stop below this fraction of the sum of two covalent radii."""
    max_temperature_factor: Positive = 4.0
    """Stop when hotter than this multiple of the target."""
    max_displacement: Positive = 15.0
    """Stop when an atom has left its start by more than this, Å (lost atom)."""
    max_energy_rise: Positive = 2.0
    """Stop when the potential energy changes by more than this, eV/atom."""
    max_volume_factor: Annotated[float, Field(gt=1)] = 2.0
    """Stop when the volume has grown or shrunk by this factor."""
    max_uncertainty: Positive | None = None
    """Stop when the model doubts its forces by more than this, eV/Å; left out: not
    asked."""
    on_breach: Literal["stop", "rewind"] = "stop"
    """`rewind`: go on from the last configuration that passed, with new velocities."""
    max_rewinds: Count = 3
    """Rewinds of one replica in a run; the next breach stops it."""
