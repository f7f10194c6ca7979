"""Write a study's numbers (`study.json`), its page (`study.md`) and its figures."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from fire_core.report.figures import format_short
from fire_core.report.study_figures import draw_study
from fire_core.study.results import (
    ENERGY,
    FEWEST_FOR_ERROR,
    FORCE,
    FORGETTING,
    SECONDS,
    aggregate,
    compare_efficiency,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fire_core.records import JsonDict
    from fire_core.study.results import Baseline, CellResult, Efficiency, Point, Spread

COLUMNS: Final = (
    ("energy RMSE, meV/atom", ENERGY),
    ("force RMSE, meV/Å", FORCE),
    ("forgetting, meV/Å", FORGETTING),
    ("training, s", SECONDS),
    ("selection, s", "selection_seconds"),
    ("frames/s", "frames_per_second"),
)


@dataclass(frozen=True, slots=True, eq=False)
class StudyReport:
    """All that a study's report says.

    Attributes
    ----------
    name
        The study.
    config
        Its resolved configuration.
    cells
        The finished ones.
    n_cells
        How many there are to run in all.
    failures
        Why cells failed, by their names.
    baseline
        The foundation model on the same frames.
    facts
        Sentences on data, split and model, in the order of the page.
    versions
        Packages and their versions.
    """

    name: str
    config: JsonDict
    cells: Sequence[CellResult]
    n_cells: int
    failures: Mapping[str, str]
    baseline: Baseline
    facts: Sequence[str]
    versions: Mapping[str, str]


def write_study(report: StudyReport, folder: Path) -> Path:
    """Write `study.json`, `study.md` and, once a cell is finished, the figures.

    Returns
    -------
    Path
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    points = aggregate(report.cells)
    efficiency = compare_efficiency(points)
    drawn = draw_study(points, report.baseline, folder) if points else []
    pictures = [a.files.png.name for a in drawn if a.files is not None]
    undrawn = [a.problem for a in drawn if a.files is None]
    _write(
        folder / "study.json",
        json.dumps(
            {
                "name": report.name,
                "cells_finished": len(report.cells),
                "cells": [asdict(cell) for cell in report.cells],
                "cells_planned": report.n_cells,
                "failures": dict(report.failures),
                "baseline": asdict(report.baseline),
                "points": [asdict(point) for point in points],
                "efficiency": [asdict(line) for line in efficiency],
                "facts": list(report.facts),
                "versions": dict(report.versions),
                "config": report.config,
            },
            indent=1,
            ensure_ascii=False,
        )
        + "\n",
    )
    page = folder / "study.md"
    text = study_markdown(report, points, efficiency, pictures)
    text += "".join(f"\nA figure could not be drawn: {why}.\n" for why in undrawn)
    _write(page, text)
    return page


def study_markdown(
    report: StudyReport,
    points: Sequence[Point],
    efficiency: Sequence[Efficiency],
    pictures: Sequence[str],
) -> str:
    """Return the page: what was compared, the table, efficiency, figures."""
    lines = [f"# Study {report.name}", ""]
    facts = [*report.facts, f"{len(report.cells)} of {report.n_cells} cells finished."]
    devices = sorted({cell.device for cell in report.cells})
    if devices:
        facts.append(
            f"Trained on: {'; '.join(devices)}. Seconds are wall time: what else ran "
            "on the machine is in them."
        )
    if len(devices) > 1:
        facts.append("**Seconds of different devices cannot be compared.**")
    lines += [f"- {fact}" for fact in facts]
    lines += ["", f"Errors are on the test frames. {_explain_bars(points)}", ""]
    lines += point_table(points, report.baseline)
    if efficiency:
        lines += ["", "## Labels for the same error", "", *_efficiency(efficiency)]
    if report.failures:
        lines += ["", "## Failed cells, tried again by the next run", ""]
        lines += [f"- {name}: {reason}" for name, reason in report.failures.items()]
    for name in pictures:
        lines += ["", f"![{name.removesuffix('.png')}]({name})"]
    return "\n".join(lines) + "\n"


def point_table(points: Sequence[Point], baseline: Baseline) -> list[str]:
    """Return the averaged cells as lines of a Markdown table."""
    heads = ["variant", "selection", "labels", "seeds", *(head for head, _ in COLUMNS)]
    start = baseline.forgetting_mev_per_angstrom
    first = [
        *("foundation model", "–", "0", "–"),
        format_short(baseline.energy_rmse_mev_per_atom),
        format_short(baseline.force_rmse_mev_per_angstrom),
        *("–" if start is None else format_short(start), "–", "–", "–"),
    ]
    rows = [first]
    for point in points:
        n = next(iter(point.spreads.values())).n
        cells = [show_metric(point, metric) for _, metric in COLUMNS]
        rows.append([point.variant, point.selection, str(point.labels), str(n), *cells])
    return _table(heads, rows)


def show_metric(point: Point, metric: str) -> str:
    """Return one number of a point with its bar; a moment's seconds as 0.0."""
    spread = point.spreads.get(metric)
    if spread is not None and metric.endswith("_seconds") and spread.high < 0.05:
        return "0.0"
    return show_spread(spread)


def show_spread(spread: Spread | None) -> str:
    """Return a mean with its bar: `68.2 ± 1.3`, `68.2 [66.1, 70.3]` or `68.2`."""
    if spread is None:
        return "–"
    mean = format_short(spread.mean)
    if spread.n >= FEWEST_FOR_ERROR:
        return f"{mean} ± {_two_digits(spread.high - spread.mean)}"
    if spread.n > 1:
        return f"{mean} [{format_short(spread.low)}, {format_short(spread.high)}]"
    return mean


def _efficiency(lines: Sequence[Efficiency]) -> list[str]:
    """Return a table for each error: a row for each series, a column for a goal."""
    text = [
        "How many labels each needs for the error that another variant reaches at its "
        "largest size. Between two sizes the mean error is taken as a power law of the "
        "labels; ≤: the smallest size is enough already; –: no size reaches it.",
    ]
    for metric, unit in ((ENERGY, "meV/atom"), (FORCE, "meV/Å")):
        own = [line for line in lines if line.metric == metric]
        goals = {line.reference: line for line in own}
        what = "energy" if metric == ENERGY else "force"
        heads = ["variant", "selection"] + [
            f"{what} of {name}: {format_short(line.target)} {unit} "
            f"({line.reference_labels} labels)"
            for name, line in goals.items()
        ]
        rows = []
        for variant, selection in dict.fromkeys((e.variant, e.selection) for e in own):
            found = {
                e.reference: _needed(e)
                for e in own
                if (e.variant, e.selection) == (variant, selection)
            }
            cells = [found.get(name, "") for name in goals]
            rows.append([variant, selection, *cells])
        text += ["", *_table(heads, rows)] if rows else []
    return text


def _needed(line: Efficiency) -> str:
    if line.labels is None:
        return "–"
    share = 100 * line.labels / line.reference_labels
    return f"{'≤ ' if line.at_most else ''}{line.labels:.0f} ({share:.0f} %)"


def _explain_bars(points: Sequence[Point]) -> str:
    kinds = sorted({s.kind for point in points for s in point.spreads.values()})
    meaning = {
        "standard error": "± is the standard error of the mean over seeds",
        "min–max": "[ ] is the range over fewer than three seeds",
        "one seed": "a number alone is of one seed",
    }
    words = "; ".join(meaning[kind] for kind in kinds)
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(f"{path.suffix}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
