"""Elastic tensor at a temperature, by molecular dynamics."""

from __future__ import annotations

from typing import Final

from fire_core.properties.kind import PropertyKind

KIND: Final = PropertyKind(
    name="thermal_elasticity",
    package=__name__,
    settings_at=".settings:ThermalElasticityConfig",
    figure_at="fire_core.properties.elasticity.figure:draw",
)
