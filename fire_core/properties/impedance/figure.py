"""Figures of impedance: Nyquist with equal axes, Bode, and the lin-KK residuals."""

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
    from collections.abc import Mapping
    from pathlib import Path

    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles

STYLES: Final[dict[str, dict[str, Any]]] = {
    "computed": {"color": "#0072B2", "linestyle": "-"},
    "measured": {
        "color": "black",
        "linestyle": "none",
        "marker": "o",
        "markersize": 2.5,
        "markerfacecolor": "none",
        "markeredgewidth": 0.7,
    },
    "fit": {"color": "#D55E00", "linestyle": "-"},
}
PREFIXES: Final = {9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "µ"}


def draw(result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Draw the Nyquist and Bode plots, and the residuals where one was measured."""
    curves = result.curves
    there = [name for name in STYLES if name in curves]
    figures = [_nyquist(result, there, folder), _bode(curves, there, folder)]
    if "kramers_kronig" in curves:
        figures.append(_residuals(curves["kramers_kronig"], folder))
    return figures


def _nyquist(result: PropertyResult, names: list[str], folder: Path) -> FigureFiles:
    curves = result.curves
    span = _span(result, names)
    scale, prefix = _prefix(span)
    figure, (axes,) = make_figure(ONE_COLUMN, 2.6)
    for name in names:
        real, imaginary = _complex(curves[name])
        axes.plot(real / scale, -imaginary / scale, label=name, **STYLES[name])
    limit = 1.05 * span / scale
    lowest = min(0.0, _lowest(curves, names) / scale)
    axes.set(xlim=(0, limit), ylim=(lowest, 0.62 * limit))
    axes.set_aspect("equal", adjustable="box")
    for value in result.values:
        if value.name == "frequency_bulk" and value.value is not None:
            axes.set_title(
                f"bulk relaxes at {_with_prefix(value.value)}Hz", fontsize=SMALL + 1
            )
    axes.set_xlabel(f"Z′, {prefix}Ω")
    axes.set_ylabel(f"−Z″, {prefix}Ω")
    if len(names) > 1:
        axes.legend(fontsize=SMALL, frameon=False)
    return save_figure(figure, [axes], folder, "nyquist")


def _bode(curves: Mapping[str, Any], names: list[str], folder: Path) -> FigureFiles:
    figure, axes = make_figure(TWO_COLUMNS, 2.5, columns=2)
    for name in names:
        frequency = np.array(curves[name]["frequency"])
        real, imaginary = _complex(curves[name])
        z = real + 1j * imaginary
        axes[0].loglog(frequency, np.abs(z), label=name, **STYLES[name])
        axes[1].semilogx(
            frequency, -np.degrees(np.angle(z)), label=name, **STYLES[name]
        )
    axes[0].set_ylabel("|Z|, Ω")
    axes[1].set_ylabel("−phase, °")
    axes[1].set_yticks([0, 15, 30, 45, 60, 75, 90])
    for panel in axes:
        panel.set_xlabel("frequency, Hz")
    if len(names) > 1:
        axes[0].legend(fontsize=SMALL, frameon=False)
    return save_figure(figure, axes, folder, "bode")


def _residuals(test: Mapping[str, Any], folder: Path) -> FigureFiles:
    figure, (axes,) = make_figure(ONE_COLUMN, 2.2)
    for part, colour, sign in (
        ("real", "#0072B2", "Z′"),
        ("imaginary", "#D55E00", "Z″"),
    ):
        axes.semilogx(
            test["frequency"],
            100 * np.array(test[part]),
            "o-",
            markersize=2.5,
            linewidth=0.8,
            color=colour,
            label=sign,
        )
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xlabel("frequency, Hz")
    axes.set_ylabel("lin-KK residual, % of |Z|")
    axes.legend(fontsize=SMALL, frameon=False, ncols=2)
    return save_figure(figure, [axes], folder, "kramers_kronig")


def _complex(points: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(points["real"]), np.array(points["imaginary"])


def _span(result: PropertyResult, names: list[str]) -> float:
    """Return how far the real axis is shown: arcs, and not the electrodes' tail, Ω."""
    curves, spans = result.curves, []
    if "computed" in names:
        arcs = [v for k, v in curves["parameters"].items() if k.startswith("R")]
        spans.append(sum(arcs))
    if "measured" in names:
        real, imaginary = _complex(curves["measured"])
        spans.append(float(real[np.abs(imaginary) <= np.abs(real)].max(initial=0.0)))
    return float(1.35 * max(*spans, _least(curves, names)))


def _least(curves: Mapping[str, Any], names: list[str]) -> float:
    return min(float(np.abs(_complex(curves[name])[0]).min()) for name in names)


def _lowest(curves: Mapping[str, Any], names: list[str]) -> float:
    return float(min(min(-np.array(curves[name]["imaginary"])) for name in names))


def _prefix(value: float) -> tuple[float, str]:
    power = int(3 * np.floor(np.log10(value) / 3))
    power = max(min(power, max(PREFIXES)), min(PREFIXES))
    return 10.0**power, PREFIXES[power]


def _with_prefix(value: float) -> str:
    scale, prefix = _prefix(value)
    return f"{value / scale:.3g} {prefix}"
