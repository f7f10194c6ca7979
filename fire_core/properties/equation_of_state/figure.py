"""Figure of an equation of state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.report.figures import ONE_COLUMN, SMALL, make_figure, save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles


def draw(result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Draw energies against volumes and the fitted curve."""
    curves = result.curves
    found = {value.name: value for value in result.values}
    lowest = found["energy"].value or 0.0
    figure, (axes,) = make_figure(ONE_COLUMN, 2.6)
    for key, style in ((None, "o"), ("fit", "-")):
        part = curves if key is None else curves[key]
        rise = 1e3 * (np.array(part["energies"]) - lowest)
        axes.plot(part["volumes"], rise, style, color="#0072B2", markersize=4)
    axes.set_xlabel("volume, Å³/atom")
    axes.set_ylabel("energy above the minimum, meV/atom")
    modulus = found["bulk_modulus"]
    axes.set_title(f"bulk modulus {modulus.value:.1f} GPa", fontsize=SMALL + 1)
    return [save_figure(figure, [axes], folder, "equation_of_state")]
