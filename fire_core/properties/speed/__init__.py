"""Speed of a model: time of a step against atoms, beside that of a label."""

from __future__ import annotations

from typing import Final

from fire_core.properties.kind import PropertyKind

KIND: Final = PropertyKind(
    name="speed",
    package=__name__,
    settings_at=".settings:SpeedConfig",
)
