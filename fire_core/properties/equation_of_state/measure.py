"""Measure an equation of state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.properties.equation_of_state.fit import scan_volumes
from fire_core.properties.equation_of_state.settings import EquationOfStateConfig
from fire_core.properties.equation_of_state.values import equation_values

if TYPE_CHECKING:
    from fire_core.properties.measurement import Measurement
    from fire_core.records import JsonDict, PropertyResult


def measure(measurement: Measurement) -> PropertyResult:
    """Scan volumes, fit a Birch-Murnaghan equation."""
    settings = measurement.settings(EquationOfStateConfig)

    def scan() -> JsonDict:
        calculator = measurement.inputs.backbone().calculator()
        volumes, energies = scan_volumes(
            measurement.inputs.structure(), calculator, settings
        )
        return {"volumes": volumes.tolist(), "energies": energies.tolist()}

    points = measurement.json_part("points", scan)
    return equation_values(points)
