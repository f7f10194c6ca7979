"""Elastic tensor at 0 K, its moduli, and the mechanics of stresses and strains."""

from __future__ import annotations

from typing import Final

from fire_core.properties.kind import PropertyKind

KIND: Final = PropertyKind(
    name="elasticity",
    package=__name__,
    settings_at=".settings:ElasticityConfig",
)
