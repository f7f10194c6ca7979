"""When a molecular-dynamics replica is stopped."""

from __future__ import annotations

from fire_core.config.base import Part, Positive


class GuardConfig(Part):
    """When a replica is stopped; the run goes on without it."""

    min_distance_factor: Positive = 0.55
    """Stop below this fraction of the sum of two covalent radii."""
    max_temperature_factor: Positive = 4.0
    """Stop when hotter than this multiple of the target."""
    max_displacement: Positive = 15.0
    """Stop when an atom has left its start by more than this, Å (lost atom)."""
    max_energy_rise: Positive = 2.0
    """Stop when the potential energy changes by more than this, eV/atom."""
