"""Work of adhesion: the energy of an interface against its slabs apart."""

from __future__ import annotations

from typing import Final

from fire_core.properties.kind import PropertyKind

KIND: Final = PropertyKind(
    name="adhesion",
    package=__name__,
    settings_at=".settings:AdhesionConfig",
)
