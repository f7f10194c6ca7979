"""Draw what rounds led by uncertainty have shown: reliability, and the forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.report.figures import (
    ONE_COLUMN,
    SMALL,
    TWO_COLUMNS,
    make_figure,
    save_figure,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fire_core.report.figures import FigureFiles
    from fire_core.report.loop_data import LoopData, ReliabilityCurve

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito."""
MARKERS: Final = "osD^vP"


def draw_reliability(
    curves: Mapping[str, ReliabilityCurve], folder: Path
) -> FigureFiles:
    """Plot expected against observed errors: fractions, and sizes in bins.

    The diagonal is a perfect calibration; below it the uncertainty is too small.
    """
    figure, axes = make_figure(TWO_COLUMNS, 3.6, columns=2)
    fractions, sizes = axes
    found = [v for c in curves.values() for v in (*c.predicted, *c.measured) if v > 0]
    limits = (1e3 * min(found) / 1.5, 1e3 * max(found) * 1.5)
    fractions.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=0)
    sizes.plot(limits, limits, color="0.6", linewidth=1, zorder=0)
    for number, (name, curve) in enumerate(curves.items()):
        style = {
            "color": PALETTE[number % len(PALETTE)],
            "marker": MARKERS[number % len(MARKERS)],
            "markersize": 3,
            "linewidth": 1.3,
        }
        label = f"{name} ({curve.miscalibration:.3f})"
        fractions.plot(curve.expected, curve.observed, label=label, **style)
        bins = (1e3 * np.array(curve.predicted), 1e3 * np.array(curve.measured))
        sizes.plot(*bins, **style)
    fractions.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    fractions.set_xlabel("Expected fraction of errors")
    fractions.set_ylabel("Observed fraction")
    figure.legend(
        loc="outside upper center",
        ncols=min(len(curves), 3),
        fontsize=SMALL,
        title="miscalibration in brackets",
        title_fontsize=SMALL,
        frameon=False,
    )
    sizes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    sizes.set_xlabel("Expected force error (meV/Å)")
    sizes.set_ylabel("Observed force RMSE (meV/Å)")
    return save_figure(figure, axes, folder, "reliability")


def draw_forecast(loop: LoopData, folder: Path) -> FigureFiles:
    """Plot the validation error against labels, and the law that continues it."""
    figure, (axes,) = make_figure(ONE_COLUMN + 0.6, 3.0)
    points = [(r.n_labels, r.error) for r in loop.rows if r.round > 0 and r.error]
    labels, errors = (np.array(column, float) for column in zip(*points, strict=True))
    axes.plot(labels, errors, "o", color=PALETTE[0], markersize=5, label="rounds")
    law = loop.forecast
    if law is not None:
        grid = np.geomspace(labels.min(), 1.1 * law.n_labels, 100)
        axes.plot(
            grid,
            law.prefactor * grid**-law.exponent,
            color="0.4",
            linewidth=1.2,
            label=f"∝ labels$^{{{-law.exponent:.2f}}}$",
        )
        axes.errorbar(
            [law.n_labels],
            [law.error],
            yerr=[[max(law.error - law.hoped_error, 0.0)], [0.0]],
            fmt="o",
            color=PALETTE[1],
            markerfacecolor="white",
            markersize=5,
            capsize=3,
            label="forecast, and at best",
        )
    axes.set(xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
        axis.get_minor_locator().set_params(subs=(1.0, 2.0, 3.0, 5.0))
    axes.set_xlabel("Labels")
    axes.set_ylabel("Validation force RMSE (meV/Å)")
    axes.legend(fontsize=SMALL, frameon=False)
    return save_figure(figure, [axes], folder, "forecast")
