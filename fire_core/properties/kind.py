"""A kind of property: its settings, how it is measured, and its figures."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.properties.settings import PropertySettings
    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles


@dataclass(frozen=True, slots=True)
class PropertyKind:
    """One kind of property, its parts named and imported where they are used.

    Parts are written as `module:attribute`; a module that begins with a dot is looked
    for in `package`.

    Attributes
    ----------
    name
        What property files write as `kind`.
    package
        Package of the kind, `__name__` in its `__init__.py`.
    settings_at
        A subclass of `PropertySettings` whose docstring says in a line what is
        measured.
    measure_at
        Function of a `Measurement`; returns a `PropertyResult`.
    figure_at
        Function of a `PropertyResult` and a folder; draws into it and returns the
        `FigureFiles`.
    """

    name: str
    package: str
    settings_at: str
    measure_at: str = ".measure:measure"
    figure_at: str = ".figure:draw"

    @property
    def settings(self) -> type[PropertySettings]:
        """The class of its settings."""
        found: type[PropertySettings] = self._load(self.settings_at)
        return found

    def run(self, measurement: Any) -> PropertyResult:
        """Measure what is missing; return the result.

        Parameters
        ----------
        measurement
            A `Measurement`. Its request is validated by the kinds, so that the type
            cannot be named here.
        """
        result: PropertyResult = self._load(self.measure_at)(measurement)
        return result

    def draw(self, result: PropertyResult, folder: Path) -> list[FigureFiles]:
        """Write the figures of a result as PNG and SVG; return their files."""
        figures: list[FigureFiles] = self._load(self.figure_at)(result, folder)
        return figures

    def _load(self, place: str) -> Any:
        module, _, attribute = place.partition(":")
        return getattr(importlib.import_module(module, self.package), attribute)
