"""Every kind of measurement, one settings class each; a new kind is added here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fire_core.config.properties.equation_of_state import EquationOfStateConfig
from fire_core.config.properties.transport import TransportConfig

MeasureConfig = Annotated[
    EquationOfStateConfig | TransportConfig, Field(discriminator="kind")
]
