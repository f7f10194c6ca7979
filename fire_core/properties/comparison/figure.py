"""Figure of a comparison: a dot with its error for each model and published number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.report.figures import SMALL, make_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fire_core.report.figures import FigureFiles

STYLES: Final = {
    "model": ("#0072B2", "o"),
    "published": ("#56B4E9", "s"),
    "experiment": ("black", "D"),
}
WIDE_SPREAD: Final = 20.0
"""Numbers that differ by more than this factor are drawn on a logarithmic axis."""


def draw_comparisons(
    comparisons: Sequence[Mapping[str, Any]], folder: Path
) -> list[FigureFiles]:
    """Draw each property of a comparison (`Comparison.as_dict`) as a figure."""
    names = [comparison["name"] for comparison in comparisons]
    figures = []
    for i, comparison in enumerate(comparisons):
        name = comparison["name"]
        if names.count(name) > 1:
            name = f"{name}_{names[:i].count(name) + 1}"
        figures.append(_draw(comparison, folder, f"compare_{name}"))
    return figures


def _draw(comparison: Mapping[str, Any], folder: Path, name: str) -> FigureFiles:
    entries = comparison["entries"]
    figure, (axes,) = make_figure(6.2, 0.9 + 0.26 * len(entries))
    for place, entry in enumerate(entries):
        colour, marker = STYLES[entry["kind"]]
        axes.errorbar(
            entry["value"],
            place,
            xerr=entry["error"],
            fmt=marker,
            color=colour,
            markersize=4,
            linewidth=1.0,
            capsize=2,
        )
    axes.axvline(entries[0]["value"], color="black", linewidth=0.6, linestyle=":")
    axes.set_yticks(range(len(entries)), [_label(entry) for entry in entries])
    axes.invert_yaxis()
    axes.margins(y=0.6 / len(entries))
    values = np.array([entry["value"] for entry in entries])
    if (values > 0).all() and values.max() / values.min() > WIDE_SPREAD:
        axes.set_xscale("log")
    unit = comparison["unit"]
    words = comparison["name"].replace("_", " ")
    axes.set_xlabel(f"{words}, {unit}" if unit else words)
    conditions = ", ".join(f"{k} {v}" for k, v in comparison["conditions"].items())
    if conditions:
        axes.set_title(conditions, fontsize=SMALL + 1)
    return save_figure(figure, [axes], folder, name)


def _label(entry: Mapping[str, Any]) -> str:
    suffix = f", {entry['source']}" if entry["source"] else ""
    if entry["kind"] == "experiment":
        suffix = f", measured{suffix}"
    percent = entry["percent"]
    if percent is None:
        return f"{entry['label']}{suffix}"
    size = f"{percent:+.1f} %" if abs(percent) < 200 else f"× {1 + percent / 100:.2g}"
    return f"{entry['label']}{suffix} ({size})"
