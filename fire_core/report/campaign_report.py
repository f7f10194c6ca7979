"""Write a campaign's report: one page, its figures, and the numbers as JSON."""

from __future__ import annotations

import base64
import json
import math
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fire_core.report import figures
from fire_core.report.attempts import attempt_figure
from fire_core.report.data import MODEL_NAMES, ReportData, added_forgetting
from fire_core.report.loop_figures import draw_forecast, draw_reliability
from fire_core.report.verdicts import describe_theory, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.records import JsonDict
    from fire_core.report.data import PcaPoints
    from fire_core.report.figures import FigureFiles

__all__ = ["ReportData", "write_report"]

FORMAT: Final = "fire-results-1"
TEMPLATE: Final = "report.html.j2"
SCORES: Final = (
    ("energy_rmse_mev_per_atom", "Energy RMSE", "meV/atom"),
    ("force_rmse_mev_per_angstrom", "Force RMSE", "meV/Å"),
    ("forgetting_force_mae_mev_per_angstrom", "Forgetting, force MAE", "meV/Å"),
    ("forgetting_energy_mae_mev_per_atom", "Forgetting, energy MAE", "meV/atom"),
    (
        "forgetting_stress_mae_mev_per_cubic_angstrom",
        "Forgetting, stress MAE",
        "meV/Å³",
    ),
)
"""Columns of the table of errors: attribute, title, unit."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A figure on the page, its width in inches; or why it could not be drawn."""

    title: str
    caption: str
    name: str = ""
    data_uri: str = ""
    width: float = 0.0
    problem: str = ""


def write_report(data: ReportData, folder: Path) -> Path:
    """Write `report.html`, `results.json` and `figures/` into a folder.

    The page holds its figures and needs no other file. `results.json` and the page
    appear whole or not at all; a report that is there is replaced.

    Parameters
    ----------
    data
        What to show.
    folder
        Made when missing.

    Returns
    -------
    Path
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = _draw_all(data, folder / "figures")
    results = json.dumps(
        make_results(data), indent=2, ensure_ascii=False, allow_nan=False
    )
    _replace(folder / "results.json", f"{results}\n")
    page = folder / "report.html"
    _replace(page, _render(data, shown))
    return page


def make_results(data: ReportData) -> JsonDict:
    """Gather the numbers of a report; nan and infinity become null."""
    added = added_forgetting(data.models)
    results = {
        "format": FORMAT,
        "name": data.name,
        "system": data.system,
        "n_test": data.n_test,
        "forgetting": {
            "n_structures": data.n_heldout,
            "source": data.heldout_source,
        },
        "models": {
            k: asdict(m) | {"forgetting_added_mev_per_angstrom": added.get(k)}
            for k, m in data.models.items()
        },
        "label_counts": dict(data.label_counts),
        "failures": [asdict(f) for f in data.failures],
        "seconds": dict(data.seconds),
        "total_seconds": sum(data.seconds.values()),
        "verdicts": [asdict(v) for v in judge(data)],
        "learning_curves": {k: asdict(c) for k, c in data.learning_curves.items()},
        "stability": {
            k: {"drift_mev_per_atom_per_ps": s.drift, "completed": s.completed}
            for k, s in data.stability.items()
        },
        "pca": None
        if data.pca is None
        else {
            "n_candidates": len(data.pca.scores),
            "n_selected": len(data.pca.picked),
            "explained": list(data.pca.explained),
            "coverage": data.pca.coverage,
            "regions": list(data.pca.regions),
        },
        "rounds": None if data.loop is None else asdict(data.loop),
        "provenance": {
            "theory": data.provenance.theory,
            "theory_code": data.provenance.theory_code,
            "theory_fingerprint": data.provenance.theory_fingerprint,
            "models": dict(data.provenance.models),
            "neutral": dict(data.provenance.neutral),
            "seeds": dict(data.provenance.seeds),
            "versions": dict(data.provenance.versions),
        },
        "config_yaml": data.config_yaml,
    }
    plain: JsonDict = _to_json(results)
    return plain


def _draw_all(data: ReportData, folder: Path) -> list[_Shown]:
    shown = []

    def show(
        draw: Callable[[Any, Path], FigureFiles], source: Any, title: str, caption: str
    ) -> None:
        if not source:
            return
        attempt = attempt_figure(lambda: draw(source, folder))
        files = attempt.files
        if files is None:
            shown.append(_Shown(title, caption, problem=attempt.problem))
            return
        coded = base64.b64encode(files.png.read_bytes()).decode()
        uri = f"data:image/png;base64,{coded}"
        shown.append(_Shown(title, caption, files.png.stem, uri, files.width))

    show(
        figures.draw_errors,
        data.models,
        "Errors and forgetting",
        "Energy and force errors on the independent trajectory; force error on "
        "held-out pre-training structures.",
    )
    show(
        figures.draw_force_parity,
        data.parity,
        "Forces",
        "Force components of the independent trajectory, model against label.",
    )
    show(
        figures.draw_energy_parity,
        data.parity,
        "Energies",
        "Energies of the independent trajectory, from the mean of the labels.",
    )
    show(
        figures.draw_learning_curves,
        data.learning_curves,
        "Learning and forgetting",
        "Each epoch's force error on the validation part and on held-out "
        "pre-training structures.",
    )
    show(
        figures.draw_pca_map,
        data.pca,
        "Candidates and selection",
        _map_caption(data.pca),
    )
    show(
        figures.draw_stability,
        data.stability,
        "Stability",
        "NVE dynamics; a cross marks a run that ended early.",
    )
    if data.loop is not None:
        show(
            draw_reliability,
            data.loop.reliability,
            "Reliability",
            "Errors on labels that the model had not seen, against its calibrated "
            "uncertainty; below the diagonal it is too sure of itself.",
        )
        show(
            draw_forecast,
            data.loop
            if any(row.error for row in data.loop.rows if row.round)
            else None,
            "What more labels buy",
            "Validation force error of each round's model, and the power law that "
            "continues it by one round.",
        )
    show(figures.draw_cost, data.seconds, "Cost", "Wall-clock time of each step.")
    return shown


def _map_caption(points: PcaPoints | None) -> str:
    if points is None or points.is_plane:
        return (
            "MD frames in the plane of the first two principal components of their "
            "descriptors; rings mark those sent to labelling."
        )
    return (
        "MD frames along the one principal component that holds all variance kept, "
        "in their order; rings mark those sent to labelling."
    )


def _render(data: ReportData, shown: list[_Shown]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = _show_number
    return environment.get_template(TEMPLATE).render(
        data=data,
        figures=shown,
        verdicts=judge(data),
        theory_note=describe_theory(data.provenance.theory_code),
        model_names={k: n for k, n in MODEL_NAMES.items() if k in data.models},
        colours=figures.COLOURS,
        scores=SCORES,
        total_seconds=sum(data.seconds.values()),
    )


def _show_number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return figures.format_short(value)


def _to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(v) for v in value]
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _replace(path: Path, text: str) -> None:
    """Write to a temporary name, flush, and move into place."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
