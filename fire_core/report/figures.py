"""Draw the figures of a report, each as PNG and SVG, from plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.report.data import MODEL_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fire_core.report.data import (
        LearningCurve,
        ModelScores,
        ParityData,
        PcaPoints,
        StabilityCurve,
    )

COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "zero_shot": "#7F7F7F",
        "pre_fine_tuned": "#E69F00",
        "vanilla": "#0072B2",
        "fire": "#D55E00",
    }
)
"""One colour for each model in every figure (Okabe and Ito, safe for the
colour-blind)."""
DASHES: Final[Mapping[str, str]] = MappingProxyType(
    {"zero_shot": ":", "pre_fine_tuned": "-.", "vanilla": "--", "fire": "-"}
)
MARKERS: Final[Mapping[str, str]] = MappingProxyType(
    {"zero_shot": "s", "pre_fine_tuned": "^", "vanilla": "D", "fire": "o"}
)
ONE_COLUMN: Final = 3.5
"""Inches; width of a journal's column."""
TWO_COLUMNS: Final = 7.0
DPI: Final = 220
MOST_COLOURS: Final = 7
"""Temperatures told apart in a map of candidates."""
SMALL: Final = 7.5
"""Points; ticks and legends. Labels are one point larger."""


@dataclass(frozen=True, slots=True)
class FigureFiles:
    """The two files of one figure, and its width in inches."""

    png: Path
    svg: Path
    width: float


def draw_pca_map(points: PcaPoints, folder: Path) -> FigureFiles:
    """Map all candidates by temperature and ring the selected ones.

    Where one component holds all of the variance that is kept, the other axis is the
    number of the candidate, in the order of the run.
    """
    figure, (axes,) = make_figure(ONE_COLUMN + 1.1, 3.1)
    places = _places(points)
    nearest = _few_temperatures(points.temperatures)
    temperatures = np.unique(nearest)
    for colour, temperature in zip(_ramp(len(temperatures)), temperatures, strict=True):
        here = places[nearest == temperature]
        axes.scatter(
            *here.T,
            s=7,
            color=colour,
            linewidths=0,
            alpha=0.55,
            rasterized=True,
            label=f"{temperature:g} K",
        )
    picked = places[np.asarray(points.picked, dtype=np.int64)]
    axes.scatter(
        *picked.T,
        s=22,
        facecolors="none",
        edgecolors="black",
        linewidths=0.7,
        label="selected",
    )
    axes.set_xlabel(f"PC 1 ({100 * points.explained[0]:.0f} % of variance)")
    axes.set_ylabel(
        f"PC 2 ({100 * points.explained[1]:.0f} %)"
        if points.is_plane
        else "Number of the candidate"
    )
    legend = axes.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        title=f"{len(points.scores)} candidates",
        fontsize=SMALL,
        title_fontsize=SMALL,
        markerscale=1.5,
        frameon=False,
    )
    for handle in legend.legend_handles:
        handle.set_alpha(1.0)
    return save_figure(figure, [axes], folder, "pca_map")


def _places(points: PcaPoints) -> NDArray[np.float64]:
    """Return where each candidate is drawn, (n, 2)."""
    if points.is_plane:
        return points.scores[:, :2]
    return np.column_stack([points.scores[:, 0], np.arange(len(points.scores))])


def _few_temperatures(temperatures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return temperatures, of ramps those of a few equal steps that are nearest, K."""
    if len(np.unique(temperatures)) <= MOST_COLOURS:
        return temperatures
    first, last = temperatures.min(), temperatures.max()
    steps = np.round(np.linspace(first, last, MOST_COLOURS))
    nearest = np.abs(temperatures[:, None] - steps).argmin(axis=1)
    return np.asarray(steps[nearest])


def draw_force_parity(parity: Mapping[str, ParityData], folder: Path) -> FigureFiles:
    """Plot forces of each model against the labels, RMSE in each panel."""
    pairs = {k: (p.force_label, p.force_model) for k, p in parity.items()}
    return _draw_parity(pairs, folder, "parity_forces", ("force", "eV/Å", "meV/Å"))


def draw_energy_parity(parity: Mapping[str, ParityData], folder: Path) -> FigureFiles:
    """Plot energies of each model against the labels, from the labels' mean."""
    pairs = {}
    for key, p in parity.items():
        centre = float(np.mean(p.energy_label))
        pairs[key] = (p.energy_label - centre, p.energy_model - centre)
    quantity = ("energy", "eV/atom", "meV/atom")
    return _draw_parity(pairs, folder, "parity_energies", quantity)


def draw_learning_curves(
    curves: Mapping[str, LearningCurve], folder: Path
) -> FigureFiles:
    """Plot learning and forgetting, epoch by epoch."""
    figure, axes = make_figure(TWO_COLUMNS, 2.7, columns=2)
    for key in _ordered(curves):
        curve = curves[key]
        style = _line_style(key)
        axes[0].plot(curve.epochs, curve.valid_force_rmse, **style)
        measured = [
            (epoch, mae)
            for epoch, mae in zip(curve.epochs, curve.forgetting_force_mae, strict=True)
            if mae is not None
        ]
        if measured:
            axes[1].plot(*zip(*measured, strict=True), **style)
    axes[0].set_ylabel("Validation force RMSE (meV/Å)")
    axes[1].set_ylabel("Forgetting: force MAE (meV/Å)")
    for panel in axes:
        panel.set_xlabel("Epoch")
        panel.set_ylim(bottom=0)
        panel.xaxis.get_major_locator().set_params(integer=True)
    _share_legend(figure, axes)
    return save_figure(figure, axes, folder, "learning_curves")


def draw_stability(runs: Mapping[str, StabilityCurve], folder: Path) -> FigureFiles:
    """Plot the total energy's drift and the temperature of NVE runs."""
    hot = any(run.temperatures is not None for run in runs.values())
    figure, axes = make_figure(TWO_COLUMNS, 2.7, columns=2 if hot else 1)
    for key in _ordered(runs):
        run = runs[key]
        style = _line_style(key) | {"marker": None}
        drift = 1e3 * (run.energies - run.energies[0])
        axes[0].plot(run.times, drift, **style)
        if run.temperatures is not None:
            axes[1].plot(run.times, run.temperatures, **style)
        if not run.completed:
            axes[0].plot(
                run.times[-1:], drift[-1:], "x", color=COLOURS[key], markersize=7
            )
    axes[0].set_ylabel("Total energy drift (meV/atom)")
    if hot:
        axes[1].set_ylabel("Temperature (K)")
    for panel in axes:
        panel.set_xlabel("Time (ps)")
    _share_legend(figure, axes)
    return save_figure(figure, axes, folder, "stability")


def draw_errors(models: Mapping[str, ModelScores], folder: Path) -> FigureFiles:
    """Compare the models' errors and their forgetting, bar by bar."""
    panels = (
        ("energy_rmse_mev_per_atom", "Energy RMSE (meV/atom)"),
        ("force_rmse_mev_per_angstrom", "Force RMSE (meV/Å)"),
        ("forgetting_force_mae_mev_per_angstrom", "Forgetting: force MAE (meV/Å)"),
    )
    figure, axes = make_figure(TWO_COLUMNS, 2.8, columns=len(panels))
    keys = _ordered(models)
    for panel, (attribute, title) in zip(axes, panels, strict=True):
        values = [getattr(models[key], attribute) for key in keys]
        bars = panel.bar(
            range(len(keys)), values, width=0.72, color=[COLOURS[k] for k in keys]
        )
        panel.bar_label(
            bars, [format_short(v) for v in values], fontsize=SMALL, padding=1.5
        )
        panel.set_xticks(
            range(len(keys)),
            [MODEL_NAMES[k].replace(" fine-tuning", "") for k in keys],
            rotation=25,
            ha="right",
        )
        panel.set_ylabel(title)
        panel.margins(y=0.12)
    return save_figure(figure, axes, folder, "errors")


def draw_cost(seconds: Mapping[str, float], folder: Path) -> FigureFiles:
    """Show the wall-clock time of each step, in the order of the run."""
    figure, (axes,) = make_figure(ONE_COLUMN + 1.1, 0.75 + 0.24 * len(seconds))
    steps = list(seconds)
    bars = axes.barh(range(len(steps)), list(seconds.values()), color="#56B4E9")
    total = sum(seconds.values())
    axes.bar_label(
        bars,
        [f"{s:.1f} s ({100 * s / (total or 1.0):.0f} %)" for s in seconds.values()],
        fontsize=SMALL,
        padding=2,
    )
    axes.set_yticks(range(len(steps)), [s.replace("_", " ") for s in steps])
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.set_xlabel(f"Wall-clock time (s), {total:.0f} s in all")
    return save_figure(figure, [axes], folder, "cost")


def _draw_parity(
    pairs: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    folder: Path,
    name: str,
    quantity: tuple[str, str, str],
) -> FigureFiles:
    word, unit, small_unit = quantity
    keys = _ordered(pairs)
    width = max(ONE_COLUMN, 0.5 + 1.75 * len(keys))
    figure, axes = make_figure(width, 2.5, columns=len(keys), share=True)
    both = np.concatenate([a for pair in pairs.values() for a in pair])
    low, high = float(both.min()), float(both.max())
    pad = 0.05 * (high - low or 1.0)
    limits = (low - pad, high + pad)
    for panel, key in zip(axes, keys, strict=True):
        label, model = pairs[key]
        panel.plot(limits, limits, color="black", linewidth=0.7, zorder=1)
        panel.scatter(
            label,
            model,
            s=max(2.0, min(14.0, 3e3 / len(label))),
            color=COLOURS[key],
            alpha=max(0.15, min(0.8, 100 / len(label))),
            linewidths=0,
            rasterized=True,
            zorder=2,
        )
        rmse = 1e3 * float(np.sqrt(np.mean((model - label) ** 2)))
        panel.set_title(
            f"{MODEL_NAMES[key]}\nRMSE {format_short(rmse)} {small_unit}",
            fontsize=SMALL + 1,
        )
        panel.set(xlim=limits, ylim=limits, aspect="equal")
        panel.set_xlabel(f"Label {word} ({unit})")
    axes[0].set_ylabel(f"Model {word} ({unit})")
    return save_figure(figure, axes, folder, name)


def make_figure(
    width: float,
    height: float,
    *,
    columns: int = 1,
    rows: int = 1,
    share: bool = False,
) -> tuple[Any, list[Any]]:
    """Return an empty figure of this size in inches, and its panels, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
    return figure, list(axes.ravel())


def save_figure(
    figure: Any, axes: Sequence[Any], folder: Path, name: str
) -> FigureFiles:
    """Give the panels their common look; write the figure as PNG and SVG."""
    for panel in axes:
        panel.tick_params(which="both", labelsize=SMALL, direction="out", length=3)
        panel.xaxis.label.set_fontsize(SMALL + 1)
        panel.yaxis.label.set_fontsize(SMALL + 1)
        panel.spines[["top", "right"]].set_visible(False)
    folder.mkdir(parents=True, exist_ok=True)
    files = FigureFiles(
        folder / f"{name}.png", folder / f"{name}.svg", figure.get_figwidth()
    )
    figure.savefig(files.png, dpi=DPI)
    figure.savefig(files.svg, dpi=DPI, metadata={"Date": None})
    return files


def _share_legend(figure: Any, axes: Sequence[Any]) -> None:
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=len(labels),
        fontsize=SMALL,
        frameon=False,
    )


def _line_style(key: str) -> dict[str, Any]:
    return {
        "color": COLOURS[key],
        "linestyle": DASHES[key],
        "linewidth": 1.4,
        "marker": MARKERS[key],
        "markersize": 2.5,
        "label": MODEL_NAMES[key],
    }


def _ramp(n: int) -> list[Any]:
    """Take `n` colours from a perceptually even map that all eyes can order."""
    from matplotlib import colormaps

    return [colormaps["plasma"](x) for x in np.linspace(0.05, 0.85, n)]


def _ordered(keys: Iterable[str]) -> list[str]:
    given = set(keys)
    return [key for key in MODEL_NAMES if key in given]


def format_short(value: float) -> str:
    """Write a number with three digits, as figures and tables show it."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"
