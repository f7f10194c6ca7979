"""Phonons: bands, density of states, heat capacity and speeds of sound."""

from __future__ import annotations

from typing import Final

from fire_core.properties.kind import PropertyKind

KIND: Final = PropertyKind(
    name="phonons",
    package=__name__,
    settings_at=".settings:PhononsConfig",
)
