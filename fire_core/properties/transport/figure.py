"""Figures of transport: displacements, Arrhenius lines, density of the mobile ion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.report.figures import (
    ONE_COLUMN,
    SMALL,
    TWO_COLUMNS,
    make_figure,
    save_figure,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fire_core.records import JsonDict, PropertyResult
    from fire_core.report.figures import FigureFiles

LOWEST: Final = 1e-2
"""Å²; smaller displacements are not drawn."""
LABELS: Final = {
    "self_diffusion": "D (cm²/s)",
    "conductivity": "σT (K S/cm)",
    "conductivity_nernst_einstein": "σT, Nernst–Einstein (K S/cm)",
}

NO_LINE: Final = {"line": None}


def draw(result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Draw what the measurement has: displacements and density always."""
    curves = result.curves
    figures = [draw_msd(curves, folder)]
    if any(part["line"] for part in curves["arrhenius"].values()):
        measured = [tuple(pair) for pair in curves["measured"]]
        figures.append(draw_arrhenius(curves["arrhenius"], folder, measured))
    figures.append(draw_density(curves, folder))
    return figures


def draw_msd(curves: Mapping[str, Any], folder: Path) -> FigureFiles:
    """Draw the mobile ion's displacement and that of the sum, with fits and windows."""
    figure, axes = make_figure(TWO_COLUMNS, 3.2, columns=2, share=True)
    runs, mobile = curves["temperatures"], curves["mobile"]
    for colour, run in zip(_colours(len(runs)), runs, strict=True):
        label = f"{run['temperature_k']:g} K"
        times = run["lags_ps"]
        axes[0].plot(times, run["msd"][mobile], color=colour, label=label)
        axes[1].plot(times, run["msd_charge"], color=colour)
        for element in run["msd"].keys() - {mobile}:
            axes[0].plot(
                times, run["msd"][element], color=colour, linewidth=0.6, alpha=0.6
            )
        for panel, key in ((axes[0], "fit"), (axes[1], "fit_charge")):
            _draw_fit(panel, run[key])
    axes[0].set_title(f"each {mobile} ion (thin: other atoms)", fontsize=SMALL + 1)
    axes[1].set_title(f"sum of {mobile} ions, per ion", fontsize=SMALL + 1)
    lowest = min(min(msd) for run in runs for msd in run["msd"].values())
    first, last = (f(f(run["lags_ps"]) for run in runs) for f in (min, max))
    for panel in axes:
        panel.set(xscale="log", yscale="log", xlabel="time difference (ps)")
        panel.set_ylim(bottom=max(0.5 * lowest, LOWEST))
        panel.set_xlim(_decade_below(first), 1.2 * last)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_minor_formatter("")
    axes[0].set_ylabel("mean squared displacement (Å²)")
    if any(run["fit"] and run["fit"]["diffusive"] for run in runs):
        axes[0].plot([], [], "--", color="black", linewidth=1.0, label="fit")
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=len(runs) + 1,
        fontsize=SMALL,
        frameon=False,
    )
    return save_figure(figure, axes, folder, "msd")


def draw_arrhenius(
    parts: JsonDict,
    folder: Path,
    measured: Sequence[tuple[float, float]] = (),
) -> FigureFiles:
    """Draw D and σT against 1/T, their lines and 95 % intervals.

    σ is that of the charge diffusion, or where that has no line of Nernst and Einstein.

    `measured` are pairs (K, S/cm) of experiments, drawn beside the conductivity.
    """
    shown = [name for name in LABELS if parts.get(name, NO_LINE)["line"]]
    if "conductivity" in shown:  # the better one of the two
        shown = [name for name in shown if name != "conductivity_nernst_einstein"]
    figure, axes = make_figure(ONE_COLUMN * len(shown), 3.0, columns=len(shown))
    for panel, name in zip(axes, shown, strict=True):
        part = parts[name]
        line = part["line"]
        inverse = 1e3 / np.array(line["temperatures_k"])
        panel.fill_between(
            inverse, line["low"], line["high"], color="#0072B2", alpha=0.2, linewidth=0
        )
        panel.plot(inverse, line["values"], color="#0072B2")
        points = np.array(part["points"])
        panel.errorbar(
            1e3 / points[:, 0],
            points[:, 1],
            yerr=[points[:, 1] - points[:, 2], points[:, 3] - points[:, 1]],
            fmt="o",
            color="black",
            markersize=3.5,
            capsize=2,
            linewidth=0.8,
            label="simulated",
        )
        if measured and name != "self_diffusion":
            where, sigma = np.array(measured).T
            panel.plot(
                1e3 / where, where * sigma, "x", color="#D55E00", label="measured"
            )
            panel.legend(fontsize=SMALL, frameon=False)
        panel.set(yscale="log", xlabel="1000 K / T", ylabel=LABELS[name])
        energy = f"{line['energy_ev']:.2f} ± {line['energy_error_ev']:.2f} eV"
        panel.set_title(f"activation energy {energy}", fontsize=SMALL + 1)
    return save_figure(figure, axes, folder, "arrhenius")


def draw_density(curves: Mapping[str, Any], folder: Path) -> FigureFiles:
    """Draw the mobile ion's density averaged along each lattice vector.

    Oblique cells are drawn as rectangles with their lengths along the edges.
    """
    density = curves["density"]
    lengths = np.linalg.norm(density["cell"], axis=1)
    figure, axes = make_figure(TWO_COLUMNS, 2.3, columns=3)
    top = max(float(np.max(values)) for values in density["along"])
    image = None
    for along, panel in enumerate(axes):
        across, up = [axis for axis in range(3) if axis != along]
        image = panel.imshow(
            np.array(density["along"][along]).T,
            origin="lower",
            extent=(0, lengths[across], 0, lengths[up]),
            cmap="magma",
            vmin=0,
            vmax=top,
            interpolation="nearest",
        )
        panel.set_xlabel(f"along {'abc'[across]} (Å)")
        panel.set_ylabel(f"along {'abc'[up]} (Å)")
        panel.locator_params(nbins=4)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.01)
    bar.set_label(f"{curves['mobile']} per Å³", fontsize=SMALL + 1)
    bar.ax.tick_params(labelsize=SMALL)
    title = f"density of {curves['mobile']} at {density['temperature_k']:g} K"
    axes[1].set_title(title, fontsize=SMALL + 1)
    return save_figure(figure, axes, folder, "density")


def _draw_fit(panel: Any, fit: JsonDict | None) -> None:
    """Draw a line that was used, over its window alone."""
    if fit is None or not fit["diffusive"]:
        return
    times = np.geomspace(fit["from_ps"], fit["to_ps"], 40)
    values = fit["intercept"] + fit["slope"] * times
    panel.plot(times, values, "--", color="black", linewidth=1.0)


def _decade_below(number: float) -> float:
    return float(10.0 ** np.floor(np.log10(number)))


def _colours(n: int) -> list[Any]:
    from matplotlib import colormaps

    return [colormaps["plasma"](x) for x in np.linspace(0.05, 0.85, n)]
