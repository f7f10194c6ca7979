"""Every kind of measurement, one settings class each; a new kind is added here."""

from __future__ import annotations

from fire_core.config.properties.equation_of_state import EquationOfStateConfig

MeasureConfig = EquationOfStateConfig
