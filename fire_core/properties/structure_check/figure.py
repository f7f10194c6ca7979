"""Figure of a structure check: g(r) of each pair with its running coordination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fire_core.report.figures import SMALL, save_figure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MOST_COORDINATION = 20.0
"""Neighbours up to which the second axis goes."""


def draw(result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Draw a panel for each unordered pair, a colour for each temperature."""
    curves = result.curves
    first: Mapping[str, Any] = next(iter(curves.values()))
    pairs = [pair for pair in first["pairs"] if _is_first(pair, first["pairs"])]
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, panels, axes = _grid(rows, columns)
    for place, pair in enumerate(pairs):
        panel = panels[place]
        twin = _draw_pair(panel, curves, pair)
        axes.append(panel)
        if place % columns == 0:
            panel.set_ylabel("g(r)")
        if place % columns == columns - 1 or place == len(pairs) - 1:
            twin.set_ylabel("neighbours within r (dashed)", fontsize=SMALL)
        if place >= len(pairs) - columns:
            panel.set_xlabel("r, Å")
    for panel in panels[len(pairs) :]:
        panel.set_visible(False)
    if len(curves) > 1:
        panels[0].legend(
            fontsize=SMALL, frameon=False, loc="upper left", handlelength=1.0
        )
    return [save_figure(figure, axes, folder, "pair_distributions")]


def _draw_pair(panel: Any, curves: Mapping[str, Any], pair: str) -> Any:
    """Draw one pair at every temperature; return the panel's second axis."""
    twin = panel.twinx()
    for colour, (word, part) in zip(COLOURS, curves.items(), strict=False):
        points, r = part["pairs"][pair], part["r"]
        panel.plot(r, points["g"], color=colour, linewidth=1.0, label=word)
        twin.plot(r, points["n"], color=colour, linewidth=0.8, linestyle="--")
        if points["minimum"] is not None:
            panel.axvline(points["minimum"], color=colour, linewidth=0.5, linestyle=":")
        panel.set_xlim(0, r[-1])
    twin.set_ylim(0, MOST_COORDINATION)
    twin.tick_params(labelsize=SMALL, length=3)
    twin.spines["top"].set_visible(False)
    panel.set_title(pair.replace("-", "–"), fontsize=SMALL + 1)
    panel.set_ylim(bottom=0)
    return twin


def _is_first(pair: str, pairs: Mapping[str, Any]) -> bool:
    """Return whether a pair stands before its mirror image."""
    names = list(pairs)
    mirror = "-".join(reversed(pair.split("-")))
    return names.index(pair) <= names.index(mirror)


def _grid(rows: int, columns: int) -> tuple[Any, list[Any], list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.6 + 2.4 * columns, 1.9 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    return figure, list(panels.flat), []
