"""Figure of phonons: bands beside their density of states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.report.figures import SMALL, TWO_COLUMNS, make_figure, save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles

COLOUR, WARNING = "#0072B2", "#D55E00"


def draw(result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Draw the bands, imaginary modes below zero and in red, and the density."""
    bands, dos = result.curves["bands"], result.curves["dos"]
    figure, axes = make_figure(TWO_COLUMNS, 2.9, columns=2)
    axes[0].get_gridspec().set_width_ratios([3.2, 1])
    x, frequencies = np.array(bands["distances"]), np.array(bands["frequencies"])
    for band in frequencies.T:
        axes[0].plot(x, band, color=COLOUR, linewidth=0.8)
        unstable = np.where(band < -0.1, band, np.nan)
        axes[0].plot(x, unstable, color=WARNING, linewidth=1.2)
    labels = [label.replace("G", "Γ") for label in bands["labels"]]
    axes[0].set_xticks(*_merge(bands["ticks"], labels))
    for tick in bands["ticks"]:
        axes[0].axvline(tick, color="black", linewidth=0.4)
    axes[0].set_xlim(x[0], x[-1])
    axes[0].set_ylabel("frequency, THz")
    axes[1].plot(dos["states"], dos["frequencies"], color=COLOUR, linewidth=0.9)
    axes[1].fill_betweenx(dos["frequencies"], dos["states"], color=COLOUR, alpha=0.15)
    axes[1].set_xlabel("states per THz", fontsize=SMALL)
    axes[1].set_xlim(left=0)
    low = min(0.0, 1.05 * float(frequencies.min()))
    for panel in axes:
        panel.set_ylim(low, 1.05 * float(frequencies.max()))
        panel.axhline(0, color="black", linewidth=0.4)
    return [save_figure(figure, axes, folder, "phonons")]


def _merge(ticks: list[float], labels: list[str]) -> tuple[list[float], list[str]]:
    """Write special points at one place as U|K."""
    places: list[float] = []
    words: list[str] = []
    for tick, label in zip(ticks, labels, strict=True):
        if places and abs(tick - places[-1]) < 1e-9:
            words[-1] = f"{words[-1]}|{label}"
        else:
            places.append(tick)
            words.append(label)
    return places, words
