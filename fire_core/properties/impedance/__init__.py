"""Impedance spectra: computed of a pellet, and fitted to a measured one."""

from __future__ import annotations

from typing import Final

from fire_core.properties.kind import PropertyKind

KIND: Final = PropertyKind(
    name="impedance",
    package=__name__,
    settings_at=".settings:ImpedanceConfig",
)
