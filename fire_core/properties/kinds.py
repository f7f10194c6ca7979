"""Every kind of property: FIRE's own, and those that installed packages add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fire_core.extensions import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.properties.kind import PropertyKind
    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles

KINDS: Final[Registry[PropertyKind]] = Registry(
    "fire.properties",
    "kind of property",
    {
        name: f"fire_core.properties.{name}:KIND"
        for name in (
            "adhesion",
            "elasticity",
            "equation_of_state",
            "impedance",
            "phonons",
            "speed",
            "structure_check",
            "thermal_elasticity",
            "transport",
        )
    },
)


def draw_property(kind: str, result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Write a measurement's figures as PNG and SVG; return their files.

    There are none of a kind whose package is not installed here.
    """
    return KINDS.load(kind).draw(result, folder) if kind in KINDS else []
