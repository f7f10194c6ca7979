"""Draw a structure from two sides, atoms coloured by element."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from ase.neighborlist import neighbor_list

from fire_core.report.figures import DPI, SMALL, TWO_COLUMNS, make_figure

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SMALLEST: Final = 0.28
GROWTH: Final = 0.28
"""Drawn radius, Å: the first, and the second times the covalent radius."""
SHADES: Final = ("#4C78A8", "#F2A93B")
"""Of the bottom and the top slab."""
VIEWS: Final = ((0, "along y"), (1, "along x"))
"""Horizontal axis of each view, and its caption; z is always up."""
EDGES: Final = [
    (a, b)
    for a, b in itertools.combinations(itertools.product((0, 1), repeat=3), 2)
    if sum(abs(i - j) for i, j in zip(a, b, strict=True)) == 1
]
NONMETALS: Final = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Sb")
BOND: Final = 1.2
"""Nonmetals nearer than this multiple of their covalent contact are joined."""
WIDEST, TALLEST = 18.0, 9.0  # inches


def draw_structure(
    atoms: Atoms, path: Path, *, title: str = "", labels: tuple[str, str] = ("", "")
) -> Path:
    """Write a picture of a cell from two sides.

    Parameters
    ----------
    atoms
        The structure; array `region`, where there, is 0 for atoms of the bottom slab
        and 1 for those of the top one, and shades the slabs.
    path
        PNG, PDF or SVG, by its suffix.
    title
        Above the picture.
    labels
        Of the bottom and the top slab.

    Returns
    -------
    Path
        Where it was written.
    """
    corners = np.array(list(itertools.product((0, 1), repeat=3))) @ atoms.cell.array
    spans = [float(np.ptp(corners[:, side])) + 5.0 for side, _ in VIEWS]
    height = float(atoms.cell.array[2, 2]) + 3.0
    scale = min(0.32, TALLEST / height, WIDEST / sum(spans))
    width = max(TWO_COLUMNS, scale * sum(spans) + 1.2)
    figure, panels = make_figure(width, scale * height + 1.3, columns=2)
    grid = panels[0].get_gridspec()
    grid.set_width_ratios(spans)
    for axes, (side, caption) in zip(panels, VIEWS, strict=True):
        _draw_view(axes, atoms, side)
        axes.set_title(caption, fontsize=SMALL + 1)
    _shade(panels, atoms, labels)
    _add_legend(figure, atoms)
    if title:
        figure.suptitle(title, fontsize=SMALL + 2.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)
    return path


def _draw_view(axes: Any, atoms: Atoms, side: int) -> None:
    from matplotlib.collections import EllipseCollection, LineCollection

    cell = atoms.cell.array
    places = [(side, 2)]
    lines = [
        [(np.array(end) @ cell)[list(places[0])] for end in edge] for edge in EDGES
    ]
    axes.add_collection(LineCollection(lines, colors="0.45", linewidths=0.8, zorder=1))
    bonds = [atoms.positions[list(pair)][:, [side, 2]] for pair in _bonds(atoms)]
    axes.add_collection(LineCollection(bonds, colors="0.3", linewidths=1.1, zorder=1.5))
    order = np.argsort(-atoms.positions[:, 1 - side] * (1 if side == 0 else -1))
    numbers = atoms.numbers[order]
    depth = atoms.positions[order, 1 - side]
    far = depth - depth.min() if side == 0 else depth.max() - depth
    haze = 0.55 * far / max(float(far.max()), 1e-9)
    colours = jmol_colors[numbers]
    colours = colours + (1.0 - colours) * haze[:, None]  # far atoms fade
    sizes = 2 * (SMALLEST + GROWTH * covalent_radii[numbers])
    axes.add_collection(
        EllipseCollection(
            sizes,
            sizes,
            np.zeros(len(sizes)),
            units="xy",
            offsets=atoms.positions[order][:, [side, 2]],
            offset_transform=axes.transData,
            facecolors=colours,
            edgecolors=np.repeat((0.15 + 0.6 * haze)[:, None], 3, axis=1),
            linewidths=0.5,
            zorder=2,
        )
    )
    corners = np.array([end for line in lines for end in line])
    low = np.minimum(corners.min(0), atoms.positions[:, [side, 2]].min(0)) - 1.0
    high = np.maximum(corners.max(0), atoms.positions[:, [side, 2]].max(0)) + 1.0
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.set_xlabel(f"{'xy'[side]} (Å)", fontsize=SMALL + 1)
    axes.set_ylabel("z (Å)", fontsize=SMALL + 1)
    axes.tick_params(labelsize=SMALL, length=3)
    axes.spines[["top", "right"]].set_visible(False)


def _bonds(atoms: Atoms) -> list[tuple[int, int]]:
    """Return pairs of bonded nonmetals of one cell."""
    chosen = np.isin(atoms.get_chemical_symbols(), NONMETALS)
    radii = np.where(chosen, BOND * covalent_radii[atoms.numbers], 0.0)
    first, second, cells = neighbor_list("ijS", atoms, radii)
    return [
        (int(i), int(j))
        for i, j, cell in zip(first, second, cells, strict=True)
        if i < j and not cell.any() and chosen[i] and chosen[j]
    ]


def _shade(panels: list[Any], atoms: Atoms, labels: tuple[str, str]) -> None:
    """Tint the height that each slab takes up, and name it on the right."""
    region = atoms.arrays.get("region")
    if region is None:
        return
    for which, (shade, label) in enumerate(zip(SHADES, labels, strict=True)):
        z = atoms.positions[region == which, 2]
        for axes in panels:
            axes.axhspan(z.min(), z.max(), color=shade, alpha=0.12, lw=0, zorder=0)
        panels[-1].text(
            1.01,
            (z.min() + z.max()) / 2,
            label,
            transform=panels[-1].get_yaxis_transform(),
            rotation=90,
            va="center",
            ha="left",
            fontsize=SMALL + 1,
            color=shade,
        )


def _add_legend(figure: Any, atoms: Atoms) -> None:
    from ase.data import chemical_symbols
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="",
            markersize=4 + 3 * covalent_radii[number],
            markerfacecolor=jmol_colors[number],
            markeredgecolor="0.15",
            markeredgewidth=0.5,
            label=chemical_symbols[number],
        )
        for number in np.unique(atoms.numbers)
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=SMALL + 1,
    )
