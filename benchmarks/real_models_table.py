"""The table of real models, as text and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.blocks import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Figures = dict[str, Any]

AS_IT_IS: Final = "as it is"
EQUAL: Final = ("n_train", "steps", "target_frames_a_step", "epochs")
"""What the trainings of a backbone on a system must have in common."""
HEADER: Final = (
    "| system | model | training | energy RMSE, meV/atom | force RMSE, meV/Å "
    "| force MAE on MPtrj, meV/Å | forgetting | of usual frames | frames | steps "
    "| target, replay frames a step | s | seeds |\n" + "|---" * 13 + "|"
)
COLOURS: Final = {
    "fire-mini": "#009E73",
    "chgnet": "#E69F00",
    "sevennet-0": "#0072B2",
}
MARKERS: Final = {AS_IT_IS: "o", "naive": "D", "replay": "s", "elements": "*"}
STYLES: Final = {"naive": ":", "replay": "--", "elements": "-"}


def refuse_unequal(rows: Sequence[Figures]) -> None:
    """Raise ValueError where trainings differ in frames or optimiser steps."""
    seen: dict[tuple[str, str], tuple[Any, ...]] = {}
    for row in rows:
        if row["strategy"] == AS_IT_IS:
            continue
        facts = tuple(str(_fact(row, key)) for key in EQUAL)
        pair = row["backbone"], row["system"]
        if seen.setdefault(pair, facts) != facts:
            msg = f"{pair} is compared at unequal {EQUAL}: {seen[pair]} and {facts}"
            raise ValueError(msg)


def _fact(row: Figures, key: str) -> Any:
    return row["settings"][key] if key in row["settings"] else row[key]


def group(rows: Sequence[Figures]) -> list[list[Figures]]:
    """Return the seeds of each training together, in the order of the table."""
    found: dict[tuple[int, int, int], list[Figures]] = {}
    order = list(SYSTEMS), list(COLOURS), list(MARKERS)
    for row in rows:
        names = row["system"], row["backbone"], row["strategy"]
        place = [known.index(name) for known, name in zip(order, names, strict=True)]
        found.setdefault((place[0], place[1], place[2]), []).append(row)
    return [found[key] for key in sorted(found)]


def forgetting(
    row: Figures, rows: Sequence[Figures], key: str = "mptrj_force_mae"
) -> float:
    """Return by what part the force MAE on MPtrj grew; nan without the model before."""
    before = [
        other[key]
        for other in rows
        if other["strategy"] == AS_IT_IS and other["backbone"] == row["backbone"]
    ]
    return row[key] / before[0] - 1.0 if before else float("nan")


def describe_table(rows: Sequence[Figures]) -> str:
    """Return the table; means over seeds with their standard errors."""
    lines = [HEADER]
    for same in group(rows):
        row = same[0]
        energy, force, mae = (
            _mean([one[key] for one in same], digits)
            for key, digits in (
                ("energy_rmse_mev_per_atom", 2),
                ("force_rmse_mev_per_angstrom", 1),
                ("mptrj_force_mae", 1),
            )
        )
        cells = [SYSTEMS[row["system"]].name, row["backbone"], row["strategy"]]
        cells += [energy, force, mae]
        if row["strategy"] == AS_IT_IS:
            cells += [""] * 7
        else:
            cells += [
                _mean([100 * forgetting(one, rows, key) for one in same], 1, "+") + " %"
                for key in ("mptrj_force_mae", "mptrj_usual_force_mae")
            ]
            cells += [
                str(row["n_train"]),
                str(row["steps"]),
                f"{_range(row['target_frames_a_step'])}, "
                f"{_range(row['replay_frames_a_step'])}",
                _mean([one["seconds"] for one in same], 0),
                ", ".join(str(one["seed"]) for one in same),
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def describe_search(rows: Sequence[Figures]) -> str:
    """Return what was tried and what the validation block says of it."""
    lines = [
        "| system | model | training | settings | energy RMSE, meV/atom "
        "| force RMSE, meV/Å | MPtrj | s |\n" + "|---" * 8 + "|"
    ]
    for row in rows:
        before, after = row["watched_force_mae"]
        settings = ", ".join(f"{k} {v:g}" for k, v in row["settings"].items())
        cells = [row["system"], row["backbone"], row["strategy"], settings]
        cells += [f"{row['valid_energy_rmse']:.2f}", f"{row['valid_force_rmse']:.1f}"]
        cells += [f"{100 * (after / before - 1):+.1f} %", f"{row['seconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(rows: Sequence[Figures], path: Path) -> None:
    """Draw force error against forgetting, a panel for each system."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    systems = [name for name in SYSTEMS if any(r["system"] == name for r in rows)]
    figure = Figure(figsize=(3.6 * len(systems), 3.8), layout="constrained")
    axes = figure.subplots(1, len(systems), squeeze=False)[0]
    for axis, system in zip(axes, systems, strict=True):
        for same in group([row for row in rows if row["system"] == system]):
            _point(axis, same, rows)
        _lines(axis, system, rows)
        axis.axvline(0.0, color="0.8", lw=0.8, zorder=0)
        axis.set_title(SYSTEMS[system].name)
        axis.set_yscale("log")
        for ticks in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            ticks(ScalarFormatter())
        axis.tick_params(axis="y", which="minor", labelsize=7)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_xlabel("change of the force MAE on MPtrj, %")
    axes[0].set_ylabel("test force RMSE, meV/Å per component")
    _legend(figure, columns=7 if len(systems) > 1 else 4)
    figure.savefig(path, dpi=150)


def _point(axis: Any, same: Sequence[Figures], rows: Sequence[Figures]) -> None:
    x, y = _place(same, rows)
    row = same[0]
    colour = COLOURS[row["backbone"]]
    filled = row["strategy"] != AS_IT_IS
    axis.plot(
        x,
        y,
        MARKERS[row["strategy"]],
        color=colour,
        markerfacecolor=colour if filled else "white",
        markersize=7,
    )


def _lines(axis: Any, system: str, rows: Sequence[Figures]) -> None:
    """Join what a model was and what each training made of it."""
    for backbone, colour in COLOURS.items():
        mine = {
            same[0]["strategy"]: _place(same, rows)
            for same in group(rows)
            if (same[0]["system"], same[0]["backbone"]) == (system, backbone)
        }
        for strategy, style in STYLES.items():
            if {AS_IT_IS, strategy} <= mine.keys():
                (x0, y0), (x1, y1) = mine[AS_IT_IS], mine[strategy]
                axis.plot([x0, x1], [y0, y1], style, color=colour, lw=1.0, zorder=1)


def _place(same: Sequence[Figures], rows: Sequence[Figures]) -> tuple[float, float]:
    x = np.mean([100 * forgetting(one, rows) for one in same])
    y = np.mean([one["force_rmse_mev_per_angstrom"] for one in same])
    return float(x), float(y)


def _legend(figure: Any, *, columns: int) -> None:
    from matplotlib.lines import Line2D

    models = [Line2D([], [], color=c, lw=3, label=n) for n, c in COLOURS.items()]
    trainings = [
        Line2D(
            [],
            [],
            color="0.3",
            marker=marker,
            ls=STYLES.get(name, ""),
            markerfacecolor="white" if name == AS_IT_IS else "0.3",
            label=name,
        )
        for name, marker in MARKERS.items()
    ]
    figure.legend(
        handles=[*models, *trainings],
        loc="outside lower center",
        ncols=columns,
        frameon=False,
    )


def _mean(values: Sequence[float], digits: int, sign: str = "") -> str:
    text = f"{np.mean(values):{sign}.{digits}f}"
    if len(values) > 1:
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        text += f" ± {error:.{digits}f}"
    return text


def _range(ends: Sequence[int]) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]}–{ends[1]}"
