"""Equation of state: energy against volume."""

from __future__ import annotations

from typing import Final

from fire_core.properties.kind import PropertyKind

KIND: Final = PropertyKind(
    name="equation_of_state",
    package=__name__,
    settings_at=".settings:EquationOfStateConfig",
)
