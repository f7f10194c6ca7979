"""Structure at temperature: pair distributions, coordination, density, cell."""

from __future__ import annotations

from typing import Final

from fire_core.properties.kind import PropertyKind

KIND: Final = PropertyKind(
    name="structure_check",
    package=__name__,
    settings_at=".settings:StructureCheckConfig",
)
