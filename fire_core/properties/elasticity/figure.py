"""Figures of an elastic tensor: Young's modulus by direction, stress by strain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.report.figures import SMALL, TWO_COLUMNS, make_figure, save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.records import PropertyResult
    from fire_core.report.figures import FigureFiles

COMPONENTS: Final = ("xx", "yy", "zz", "yz", "xz", "xy")
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""One for each component of the stress (Okabe and Ito)."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P")


def draw(result: PropertyResult, folder: Path) -> list[FigureFiles]:
    """Draw stresses with their fit and, of a stable tensor, the polar cuts."""
    figures = [_draw_stresses(result, folder)]
    if "youngs_modulus" in result.curves:
        figures.insert(0, _draw_cuts(result, folder))
    return figures


def _draw_cuts(result: PropertyResult, folder: Path) -> FigureFiles:
    curves = result.curves
    angles = np.array(curves["angles"])
    cuts = {name: np.array(cut) for name, cut in curves["youngs_modulus"].items()}
    largest = max(float(cut.max()) for cut in cuts.values())
    ring = _round_down(0.8 * largest)
    figure, axes = make_figure(TWO_COLUMNS, 2.55, columns=len(cuts))
    for panel, (plane, cut) in zip(axes, cuts.items(), strict=True):
        for radius in (ring / 2, ring):
            circle = radius * np.exp(1j * angles)
            panel.plot(circle.real, circle.imag, color="0.8", linewidth=0.7)
            panel.annotate(
                f"{radius:g}", (0, radius), ha="center", va="center",
                fontsize=SMALL - 1, color="0.45",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
        panel.axhline(0, color="0.8", linewidth=0.7)
        panel.axvline(0, color="0.8", linewidth=0.7)
        line = cut * np.exp(1j * angles)
        panel.plot(line.real, line.imag, color="#0072B2", linewidth=1.4)
        reach = 1.12 * max(largest, ring)
        panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        panel.set(xticks=[], yticks=[])
        panel.spines[["left", "bottom"]].set_visible(False)
        panel.set_xlabel(plane[0])
        panel.set_ylabel(plane[1], rotation=0)
        panel.set_title(
            f"{plane} plane: {cut.min():.3g} to {cut.max():.3g}", fontsize=SMALL + 1
        )
    figure.suptitle("Young's modulus by direction, GPa", fontsize=SMALL + 2)
    return save_figure(figure, axes, folder, "youngs_modulus")


def _draw_stresses(result: PropertyResult, folder: Path) -> FigureFiles:
    points = result.curves["points"]
    tensor = np.array(result.curves["tensor"])
    figure, axes = make_figure(
        max(3.0, min(TWO_COLUMNS, 0.9 + 2.1 * len(points))), 2.6 * -(-len(points) // 3),
        columns=min(3, len(points)), rows=-(-len(points) // 3),
    )  # fmt: skip
    for panel, (mode, found) in zip(axes, points.items(), strict=False):
        _draw_mode(panel, COMPONENTS.index(mode), found, tensor)
        panel.set_xlabel(f"strain {mode}, %")
    axes[0].set_ylabel("stress, GPa")
    handles = [
        axes[0].plot([], [], MARKERS[i], color=COLOURS[i], markersize=3, label=name)[0]
        for i, name in enumerate(COMPONENTS)
    ]
    figure.legend(
        handles=handles, loc="outside upper center", ncols=6, fontsize=SMALL,
        frameon=False, title="stress component; lines: the tensor",
        title_fontsize=SMALL,
    )  # fmt: skip
    return save_figure(figure, axes, folder, "stress_strain")


def _draw_mode(panel: Any, mode: int, found: Any, tensor: Any) -> None:
    strains = np.array(found["strains"])
    stresses = np.array(found["stresses"])
    errors = np.array(found["errors"]) if "errors" in found else None
    offset = np.array(found.get("reference", stresses.mean(axis=0)))
    ends = 1.15 * np.array([strains.min(), strains.max()])
    for i in range(6):
        panel.plot(
            100 * ends, offset[i] + tensor[i, mode] * ends, color=COLOURS[i],
            linewidth=0.8,
        )  # fmt: skip
        panel.errorbar(
            100 * strains, stresses[:, i], None if errors is None else errors[:, i],
            fmt=MARKERS[i], color=COLOURS[i], markersize=3, elinewidth=0.8, capsize=1.5,
        )  # fmt: skip


def _round_down(value: float) -> float:
    """Return a number of one round digit that is not above a value."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(
        max(digit for digit in (1, 2, 4, 5, 6, 8) if digit * power <= value) * power
    )
