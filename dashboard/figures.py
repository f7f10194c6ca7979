"""Figures of a campaign as plotly draws them: plain data and layouts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.report.data import MODEL_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fire_core.report.data import LearningCurve, ParityData, StabilityCurve
    from fire_core.storage.usage import UsageRow

    Figure = dict[str, Any]

MOST_POINTS: Final = 3000
"""Points of a scatter plot; beyond it every so-many-th is drawn, and it says so."""


def when(seconds: float) -> str:
    """Return a time as plotly reads it, UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def draw_burn_down(
    history: Sequence[tuple[float, float]], planned: int | None, end: float | None
) -> Figure:
    """Draw labels done and core-hours spent over time, and where they lead.

    Parameters
    ----------
    history
        (finished at, core-seconds) of each label, in order.
    planned
        Labels of the whole campaign; None: unknown.
    end
        When the last of them is expected, seconds since 1970; None: no forecast.
    """
    times = [when(at) for at, _ in history]
    hours = np.cumsum([s for _, s in history]) / 3600.0
    data: list[dict[str, Any]] = [
        {
            "x": times,
            "y": list(range(1, len(times) + 1)),
            "name": "labels done",
            "mode": "lines",
            "line": {"shape": "hv"},
        },
        {
            "x": times,
            "y": [round(float(h), 4) for h in hours],
            "name": "core-hours",
            "mode": "lines",
            "yaxis": "y2",
            "line": {"dash": "dot"},
        },
    ]
    if planned is not None and end is not None and history:
        data.append(
            {
                "x": [times[-1], when(end)],
                "y": [len(times), planned],
                "name": "forecast",
                "mode": "lines",
                "line": {"dash": "dash"},
            }
        )
    layout: dict[str, Any] = {
        "yaxis": {"title": {"text": "labels done"}, "rangemode": "tozero"},
        "yaxis2": {
            "title": {"text": "core-hours"},
            "overlaying": "y",
            "side": "right",
            "rangemode": "tozero",
            "showgrid": False,
        },
    }
    if planned is not None:
        layout["shapes"] = [
            {
                "type": "line", "xref": "paper", "x0": 0, "x1": 1,
                "y0": planned, "y1": planned, "line": {"width": 1, "dash": "dot"},
            }
        ]  # fmt: skip
    return {"data": data, "layout": layout}


def draw_timeline(usage: Sequence[UsageRow]) -> Figure:
    """Draw each step from its beginning to its end."""
    names = [f"{row.step}, round {row.round}" for row in usage]
    data = {
        "type": "bar",
        "orientation": "h",
        "y": names,
        "base": [when(row.finished_at - row.wall_s) for row in usage],
        "x": [1000.0 * row.wall_s for row in usage],
        "customdata": [round(row.wall_s) for row in usage],
        "hovertemplate": "%{y}<br>%{base}<br>%{customdata} s<extra></extra>",
    }
    rows = len(dict.fromkeys(names))
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {"autorange": "reversed"},
        "height": 90 + 26 * rows,
        "showlegend": False,
        "bargap": 0.35,
    }
    return {"data": [data], "layout": layout}


def draw_learning(curves: Mapping[str, LearningCurve]) -> Figure:
    """Draw the validation error of forces and forgetting, epoch by epoch."""
    data: list[dict[str, Any]] = []
    for number, (name, curve) in enumerate(curves.items()):
        title = MODEL_NAMES.get(name, name)
        look = {"mode": "lines+markers", "legendgroup": name}
        data.append(
            look
            | {
                "x": list(curve.epochs),
                "y": list(curve.valid_force_rmse),
                "name": f"{title}, validation",
                "line": {"color": COLOURS[number % len(COLOURS)]},
            }
        )
        if any(value is not None for value in curve.forgetting_force_mae):
            data.append(
                look
                | {
                    "x": list(curve.epochs),
                    "y": list(curve.forgetting_force_mae),
                    "name": f"{title}, forgetting",
                    "line": {"color": COLOURS[number % len(COLOURS)], "dash": "dot"},
                }
            )
    layout = {
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {
            "title": {"text": "force error, meV/Å"},
            "type": "log",
            "dtick": "D2",
            "tickformat": "~g",  # else 200 is shown as 2
        },
    }
    return {"data": data, "layout": layout}


COLOURS: Final = ("#4C78A8", "#E8743B", "#3A9E77", "#B279A2", "#D6A419", "#6C6A66")


def draw_parity(parity: ParityData, elements: NDArray[np.str_] | None) -> Figure:
    """Draw force components of a model against the labels, coloured by element."""
    label, model = parity.force_label, parity.force_model
    stride = -(-len(label) // MOST_POINTS)
    groups = {"all elements": np.arange(0, len(label), stride)}
    if elements is not None and len(elements) == len(label):
        groups = {
            str(e): np.flatnonzero(elements == e)[::stride] for e in np.unique(elements)
        }
    data: list[dict[str, Any]] = [
        {
            "x": np.round(label[chosen], 4).tolist(),
            "y": np.round(model[chosen], 4).tolist(),
            "name": name,
            "mode": "markers",
            "marker": {"size": 4, "opacity": 0.5},
        }
        for name, chosen in groups.items()
    ]
    ends = [float(label.min(initial=0.0)), float(label.max(initial=0.0))]
    data.append(
        {
            "x": ends, "y": ends, "mode": "lines", "name": "label = model",
            "line": {"width": 1, "color": "#888"}, "hoverinfo": "skip",
        }
    )  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "label, eV/Å"}, "constrain": "domain"},
        "yaxis": {
            "title": {"text": "model, eV/Å"},
            "scaleanchor": "x",
            "constrain": "domain",
        },
    }
    return {"data": data, "layout": layout}


def draw_stability(curves: Mapping[str, StabilityCurve]) -> Figure:
    """Draw the total energy at constant energy, from its start."""
    data = [
        {
            "x": np.round(curve.times, 4).tolist(),
            "y": np.round(1e3 * (curve.energies - curve.energies[0]), 4).tolist(),
            "name": MODEL_NAMES.get(name, name)
            + ("" if curve.completed else ", ended early"),
            "mode": "lines",
        }
        for name, curve in curves.items()
        if len(curve.energies)
    ]
    layout = {
        "xaxis": {"title": {"text": "time, ps"}},
        "yaxis": {"title": {"text": "ΔE, meV/atom"}},
    }
    return {"data": data, "layout": layout}
