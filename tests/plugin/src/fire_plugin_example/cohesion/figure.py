"""Figure of a cohesive energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.report.figures import ONE_COLUMN, make_figure, save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles


def draw(result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Draw the energies of the isolated atoms."""
    atoms = result.curves["isolated_atoms"]
    figure, (axes,) = make_figure(ONE_COLUMN, 2.2)
    axes.bar(list(atoms), list(atoms.values()), color="#0072B2")
    axes.set_ylabel("energy of an isolated atom, eV")
    return [save_figure(figure, [axes], folder, "isolated_atoms")]
