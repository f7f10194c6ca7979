"""Every kind of measurement, one settings class each; a new kind is added here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fire_core.config.properties.adhesion import AdhesionConfig
from fire_core.config.properties.elasticity import (
    ElasticityConfig,
    ThermalElasticityConfig,
)
from fire_core.config.properties.equation_of_state import EquationOfStateConfig

MeasureConfig = Annotated[
    EquationOfStateConfig | ElasticityConfig | ThermalElasticityConfig | AdhesionConfig,
    Field(discriminator="kind"),
]
