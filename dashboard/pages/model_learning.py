"""Learning curves of models, with what they began from and what was kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.figures import draw_learning
from fire_core.campaign.views.results import read_learning_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.campaign.views.models import ModelFacts
    from fire_core.storage.store import Store


def draw_trainings(store: Store, models: Sequence[ModelFacts]) -> dict[str, Any] | None:
    """Draw the trainings of models in one figure, epochs counted from one.

    A single model's has the foundation model's error on pre-training structures and the
    epoch that was kept. None where no epoch is on record.
    """
    curves = {}
    for facts in models:
        curve = read_learning_curve(store, facts.campaign, facts.name)
        if curve is not None:
            counted = replace(curve, epochs=[epoch + 1 for epoch in curve.epochs])
            curves[f"{facts.campaign}/{facts.name}"] = counted
    if not curves:
        return None
    figure = draw_learning(curves)
    if len(models) == 1:
        for trace in figure["data"]:
            trace["name"] = trace["name"].rpartition(", ")[2]
        _mark(figure["layout"], models[0])
    _tell_ticks(figure)
    return figure


def _mark(layout: dict[str, Any], facts: ModelFacts) -> None:
    """Draw where the model began, and the epoch that was kept."""
    thin = {"type": "line", "line": {"width": 1, "dash": "dash", "color": "#888"}}
    start = facts.training.get("start_forgetting_force_mae")
    kept = facts.training.get("kept_epoch")
    shapes, notes = [], []
    if start:
        ends = {"xref": "paper", "x0": 0, "x1": 1, "y0": start, "y1": start}
        shapes.append(thin | ends)
        where = {"xref": "paper", "x": 1, "y": float(np.log10(start)), "yanchor": "top"}
        notes.append(
            where | {"text": "forgetting: foundation model", "xanchor": "right"}
        )
    if kept is not None:
        ends = {"yref": "paper", "y0": 0, "y1": 1, "x0": kept + 1, "x1": kept + 1}
        shapes.append(thin | ends)
        where = {"yref": "paper", "y": 0.6, "x": kept + 1, "xanchor": "right"}
        notes.append(where | {"text": "kept", "yanchor": "middle"})
    layout["shapes"] = shapes
    layout["annotations"] = [note | {"showarrow": False} for note in notes]


def _tell_ticks(figure: dict[str, Any]) -> None:
    """Write whole numbers at the logarithmic axis; plotly would write `2` for 200."""
    values = [y for trace in figure["data"] for y in trace["y"] if y]
    if not values:
        return
    low, high = np.floor(np.log10(min(values))), np.ceil(np.log10(max(values)))
    ticks = [
        digit * 10.0**power
        for power in range(int(low), int(high) + 1)
        for digit in (1, 2, 5)
    ]
    axis = {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    figure["layout"]["yaxis"] = figure["layout"]["yaxis"] | axis
    figure["layout"]["yaxis"].pop("dtick", None)
