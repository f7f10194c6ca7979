"""Figure of speed: time of a step and of a label against atoms, both logarithmic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fire_core.report.figures import ONE_COLUMN, SMALL, make_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles

STYLES = {"model": ("#0072B2", "o", "MD step"), "labels": ("#D55E00", "s", "label")}


def draw(result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Draw times with quartiles and the fitted power laws; batches beside them."""
    curves = result.curves
    columns = 2 if curves["batches"] else 1
    figure, axes = make_figure(ONE_COLUMN * columns + 0.6, 2.7, columns=columns)
    for key in ("model", "labels"):
        if curves[key]:
            _draw_series(axes[0], curves, key)
    axes[0].set_xscale("log")
    axes[0].set_yscale("log")
    sizes = [t["n_atoms"] for t in curves["model"]]
    axes[0].set_xticks(sizes, [str(n) for n in sizes], rotation=45)
    axes[0].set_xticks([], minor=True)
    axes[0].set_xlabel("atoms")
    axes[0].set_ylabel("time, s")
    axes[0].legend(fontsize=SMALL, frameon=False, loc="upper left")
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low, high * (40 if curves["labels"] else 4))  # for the legend
    if curves["batches"]:
        _draw_batches(axes[1], curves["batches"])
    return [save_figure(figure, axes, folder, "speed")]


def _draw_series(axes: Any, curves: Mapping[str, Any], key: str) -> None:
    colour, marker, what = STYLES[key]
    timings, law = curves[key], curves["laws"][key]
    n = np.array([t["n_atoms"] for t in timings])
    median = np.array([t["median"] for t in timings])
    low, high = (np.array([t[name] for t in timings]) for name in ("low", "high"))
    label = f"{what}, {curves['names'][key]}"
    if law is not None:
        error = "" if law["error"] is None else f" ± {law['error']:.2f}"
        label += f"\n∝ N$^{{x}}$, x = {law['exponent']:.2f}{error}"
        x = np.geomspace(max(law["from"], n.min()), n.max(), 50)
        line = law["prefactor"] * x ** law["exponent"]
        axes.plot(x, line, color=colour, linewidth=0.8)
    axes.errorbar(
        n,
        median,
        yerr=[median - low, high - median],
        fmt=marker,
        color=colour,
        markersize=3.5,
        linewidth=0.8,
        label=label,
    )


def _draw_batches(axes: Any, batches: list[dict[str, Any]]) -> None:
    replicas = [t["replicas"] for t in batches]
    each = [1e3 * t["median"] / t["replicas"] for t in batches]
    axes.plot(replicas, each, "o-", color="#0072B2", markersize=3.5, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(replicas, [str(n) for n in replicas])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("replicas in one batch")
    axes.set_ylabel("time of a step per replica, ms")
    n_atoms = batches[0]["n_atoms"] // replicas[0]
    axes.set_title(f"{n_atoms} atoms each", fontsize=SMALL + 1)
