"""A kind of property: the cohesive energy of a crystal."""

from typing import Final

from fire_core.properties.kind import PropertyKind

KIND: Final = PropertyKind(
    name="cohesive_energy",
    package=__name__,
    settings_at=".settings:CohesionSettings",
)
