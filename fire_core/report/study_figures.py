"""Draw a study: errors against labels and against cost, forgetting against labels."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Final

from fire_core.report.attempts import Attempt, attempt_figure
from fire_core.report.figures import (
    SMALL,
    TWO_COLUMNS,
    FigureFiles,
    format_short,
    make_figure,
    save_figure,
)
from fire_core.study.cells import ALL
from fire_core.study.results import ENERGY, FORCE, FORGETTING, SECONDS, series_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from fire_core.study.results import Baseline, Point, Spread

PALETTE: Final = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""One for each variant (Okabe and Ito, safe for the colour-blind)."""
MARKERS: Final = ("o", "D", "^", "s", "v", "P")
DASHES: Final = ("-", "--", ":", "-.")
"""One for each selection; markers are filled for the first alone."""
FOUNDATION: Final = "foundation model"
AXES: Final = (
    (ENERGY, "Test energy RMSE (meV/atom)"),
    (FORCE, "Test force RMSE (meV/Å)"),
)


def draw_study(
    points: Sequence[Point], baseline: Baseline, folder: Path
) -> list[Attempt]:
    """Draw every figure of a study that its points allow."""
    attempts = [
        attempt_figure(lambda: draw_data(points, baseline, folder)),
        attempt_figure(lambda: draw_cost(points, folder)),
    ]
    if any(FORGETTING in point.spreads for point in points):
        attempts.append(
            attempt_figure(lambda: draw_forgetting(points, baseline, folder))
        )
    return attempts


def draw_data(points: Sequence[Point], baseline: Baseline, folder: Path) -> FigureFiles:
    """Plot errors against the number of labels, both logarithmic."""
    figure, axes = make_figure(TWO_COLUMNS, 3.1, columns=2)
    levels = (
        baseline.energy_rmse_mev_per_atom,
        baseline.force_rmse_mev_per_angstrom,
    )
    for panel, (metric, title), level in zip(axes, AXES, levels, strict=True):
        _draw_series(panel, points, metric)
        _draw_level(panel, level)
        panel.set_ylabel(title)
        _label_sizes(panel, points)
        _set_logarithmic(panel, "y", _ends(points, metric, level))
    return _finish(figure, axes, folder, "study_data")


def draw_cost(points: Sequence[Point], folder: Path) -> FigureFiles:
    """Plot errors against the seconds of training, both logarithmic."""
    figure, axes = make_figure(TWO_COLUMNS, 3.1, columns=2)
    for panel, (metric, title) in zip(axes, AXES, strict=True):
        _draw_series(panel, points, metric, across=SECONDS)
        panel.set_ylabel(title)
        panel.set_xlabel("Training time (s)")
        _set_logarithmic(panel, "x", _ends(points, SECONDS))
        _set_logarithmic(panel, "y", _ends(points, metric))
    return _finish(figure, axes, folder, "study_cost")


def draw_forgetting(
    points: Sequence[Point], baseline: Baseline, folder: Path
) -> FigureFiles:
    """Plot the error on held-out pre-training structures against labels."""
    figure, axes = make_figure(TWO_COLUMNS * 0.62, 3.1)
    _draw_series(axes[0], points, FORGETTING)
    level = baseline.forgetting_mev_per_angstrom
    if level is not None:
        _draw_level(axes[0], level)
    axes[0].set_ylabel("Force MAE on pre-training data (meV/Å)")
    _label_sizes(axes[0], points)
    _set_logarithmic(axes[0], "y", _ends(points, FORGETTING, level))
    return _finish(figure, axes, folder, "study_forgetting")


def _draw_series(
    panel: Any, points: Sequence[Point], metric: str, across: str | None = None
) -> None:
    """Plot each variant and selection with its bars, over labels or a metric."""
    series = series_of(points)
    variants = list(dict.fromkeys(variant for variant, _ in series))
    selections = list(dict.fromkeys(selection for _, selection in series))
    colours = dict(zip(variants, cycle(PALETTE), strict=False))
    markers = dict(zip(variants, cycle(MARKERS), strict=False))
    dashes = dict(zip(selections, islice(cycle(DASHES), len(selections)), strict=True))
    for (variant, selection), members in series.items():
        drawn = [p for p in members if metric in p.spreads]
        if not drawn:
            continue
        ys = [p.spreads[metric] for p in drawn]
        xs: list[float] = [p.labels for p in drawn]
        bars = {"yerr": _bars(ys)}
        if across is not None:
            spans = [p.spreads[across] for p in drawn]
            xs, bars["xerr"] = [span.mean for span in spans], _bars(spans)
        shown = variant if selection == ALL else f"{variant}, {_words(selection)}"
        panel.errorbar(
            xs,
            [y.mean for y in ys],
            **bars,
            color=colours[variant],
            marker=markers[variant],
            linestyle=dashes[selection],
            markerfacecolor=(
                colours[variant] if selection == selections[0] else "white"
            ),
            markersize=4.5,
            linewidth=1.3,
            elinewidth=0.9,
            capsize=2.5,
            zorder=3 - 0.1 * selections.index(selection),
            label=shown,
        )


def _bars(spreads: Sequence[Spread]) -> list[list[float]]:
    """Return the distances from each mean down and up to the ends of its bar."""
    return [[s.mean - s.low for s in spreads], [s.high - s.mean for s in spreads]]


def _draw_level(panel: Any, level: float) -> None:
    panel.axhline(
        level, color="#7F7F7F", linewidth=1.0, linestyle=(0, (1, 1.5)), zorder=0,
        label=FOUNDATION,
    )  # fmt: skip


def _label_sizes(panel: Any, points: Sequence[Point]) -> None:
    """Mark the sizes that were run, and no other number, on a logarithmic axis."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    sizes = sorted({point.labels for point in points})
    panel.set_xscale("log")
    panel.set_xlim(sizes[0] / 1.25, sizes[-1] * 1.25)
    panel.xaxis.set_major_locator(FixedLocator(sizes))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    panel.set_xlabel("Labels (training and validation)")


def _set_logarithmic(panel: Any, axis: str, ends: tuple[float, float]) -> None:
    """Make an axis logarithmic, with numbers that a person reads without powers."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    low, high = ends[0] / 1.2, ends[1] * 1.2
    one = panel.xaxis if axis == "x" else panel.yaxis
    panel.set(**{f"{axis}scale": "log", f"{axis}lim": (low, high)})
    one.set_major_locator(FixedLocator(_round_numbers(low, high)))
    one.set_minor_locator(NullLocator())
    one.set_minor_formatter(NullFormatter())
    one.set_major_formatter(lambda value, _: f"{value:g}")


def _round_numbers(low: float, high: float) -> list[float]:
    """Return round numbers between two bounds, three to nine of them where it can."""
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        found = [
            step * 10.0**power
            for power in range(-9, 10)
            for step in steps
            if low <= step * 10.0**power <= high
        ]
        if len(found) >= 3:
            return found
    return found or [float(format_short((low * high) ** 0.5))]


def _ends(
    points: Iterable[Point], metric: str, *levels: float | None
) -> tuple[float, float]:
    spreads = [p.spreads[metric] for p in points if metric in p.spreads]
    values = [x for s in spreads for x in (s.low, s.mean, s.high) if x > 0]
    values += [level for level in levels if level is not None]
    return min(values), max(values)


def _finish(figure: Any, axes: Sequence[Any], folder: Path, name: str) -> FigureFiles:
    handles, labels = axes[0].get_legend_handles_labels()
    entries = sorted(
        zip(labels, handles, strict=True), key=lambda entry: entry[0] == FOUNDATION
    )
    figure.legend(
        [handle for _, handle in entries],
        [label for label, _ in entries],
        loc="outside upper center",
        ncols=min(len(labels), 4 if len(axes) > 1 else 2),
        fontsize=SMALL,
        frameon=False,
        handlelength=3.2,
    )
    return save_figure(figure, axes, folder, name)


def _words(selection: str) -> str:
    return {"kmeans": "K-means", "farthest_point": "farthest point"}.get(
        selection, selection
    )
