"""Figure of an interface that is opened: energy against separation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.report.figures import ONE_COLUMN, SMALL, make_figure, save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles


def draw(result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Draw the energy of each contact, the slabs apart at zero."""
    curves = result.curves
    distances, energies = np.array(curves["separations"]), np.array(curves["energies"])
    work = curves["work_of_separation"]
    figure, (axes,) = make_figure(ONE_COLUMN, 2.6)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.axhline(-work, color="#D55E00", linewidth=0.8, linestyle="--")
    axes.plot(distances, energies, "o-", color="#0072B2", markersize=3, linewidth=1)
    axes.annotate(
        f"work of separation {work:.2f} J/m²", (distances.max(), -work), ha="right",
        va="bottom", fontsize=SMALL, color="#D55E00", xytext=(0, 2),
        textcoords="offset points",
    )  # fmt: skip
    span = max(abs(work), float(np.ptp(energies[distances >= 0])))
    axes.set_ylim(energies[distances >= 0].min() - 0.15 * span, 0.4 * span)
    axes.set_xlabel("separation beyond the interface's own, Å")
    axes.set_ylabel("energy of a contact, J/m²")
    return [save_figure(figure, [axes], folder, "adhesion")]
