"""Draw the figures of a measurement, whatever its kind; a new kind is added here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles

KINDS: Final = {
    "adhesion": "fire_core.report.properties.adhesion",
    "elasticity": "fire_core.report.properties.elasticity",
    "equation_of_state": "fire_core.report.properties.equation_of_state",
    "impedance": "fire_core.report.properties.impedance",
    "phonons": "fire_core.report.properties.phonons",
    "speed": "fire_core.report.properties.speed",
    "structure_check": "fire_core.report.properties.structure_check",
    "thermal_elasticity": "fire_core.report.properties.elasticity",
    "transport": "fire_core.report.properties.transport",
}
"""Module of each kind; its function `draw` takes a result and a folder."""


def draw_property(kind: str, result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Write a measurement's figures as PNG and SVG; return their files."""
    if kind not in KINDS:
        return []
    figures: list[FigureFiles] = import_module(KINDS[kind]).draw(result, folder)
    return figures
