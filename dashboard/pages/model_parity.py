"""Predictions beside labels, and the structures that a model is worst on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dashboard.figures import draw_parity
from fire_core.campaign.names import TEST
from fire_core.campaign.views.results import parity_of, read_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fire_core.campaign.views.models import ModelFacts
    from fire_core.storage.store import Store

    Arrays = Mapping[str, NDArray[np.float64]]

WORST: Final = 5


@dataclass(frozen=True, slots=True)
class Worst:
    """A test structure with a large error: force RMSE in meV/Å, energy in meV/atom."""

    key: str
    formula: str
    force_rmse: float
    force_max: float
    energy_error: float


@dataclass(frozen=True, slots=True)
class Parity:
    """Figures as plotly draws them; the structures are known or empty."""

    forces: dict[str, Any]
    energies: dict[str, Any]
    by_element: bool
    worst: list[Worst]


def read_parity(store: Store, facts: ModelFacts) -> Parity | None:
    """Return a model's predictions beside the labels; None where it was not judged."""
    if facts.judged is None or facts.judged.result.curves_blob is None:
        return None
    arrays = read_arrays(store, facts.judged.result.curves_blob)
    keys = judged_keys(store, facts, arrays)
    frames = store.structures.get(keys)
    elements = None
    if frames:
        symbols = [atoms.get_chemical_symbols() for atoms in frames]
        elements = np.repeat(np.concatenate(symbols), 3)
    worst = [
        Worst(keys[i], frames[i].get_chemical_formula(), *errors)
        for i, errors in _worst(arrays, [len(atoms) for atoms in frames])
    ]
    return Parity(
        draw_parity(parity_of(arrays), elements),
        draw_energies(arrays, keys),
        elements is not None,
        worst,
    )


def judged_keys(store: Store, facts: ModelFacts, arrays: Arrays) -> list[str]:
    """Return the structures of a judgement in its order; empty where nobody can say.

    An older judgement kept numbers alone: they are of the labelled test structures, if
    those have the very labels that it was held against.
    """
    if "keys" in arrays:
        return [str(key) for key in arrays["keys"]]
    round_ = 0 if facts.judged is None else facts.judged.round
    row = store.selections.get(facts.campaign, round_, TEST)
    if row is None or not facts.gates.theory:
        return []
    labels = store.labels.get(row.keys, facts.gates.theory)
    keys = [key for key in row.keys if key in labels]
    if not keys:
        return []
    forces = np.concatenate([labels[key].forces.ravel() for key in keys])
    return keys if np.array_equal(forces, arrays["forces_reference"]) else []


def draw_energies(arrays: Arrays, keys: list[str]) -> dict[str, Any]:
    """Draw energies per atom of a model against the labels, from the labels' mean."""
    mean = float(np.mean(arrays["energies_reference"]))
    label = 1e3 * (arrays["energies_reference"] - mean)
    model = 1e3 * (arrays["energies"] - mean)
    ends = [float(label.min()), float(label.max())]
    points = {
        "x": np.round(label, 3).tolist(),
        "y": np.round(model, 3).tolist(),
        "name": "structures",
        "mode": "markers",
        "customdata": [f"/structures/{key}" for key in keys],
    }
    line = {
        "x": ends, "y": ends, "mode": "lines", "name": "label = model",
        "line": {"width": 1, "color": "#888"}, "hoverinfo": "skip",
    }  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "label less mean, meV/atom"}},
        "yaxis": {"title": {"text": "model less mean, meV/atom"}},
    }
    return {"data": [points, line], "layout": layout}


def _worst(
    arrays: Arrays, sizes: list[int]
) -> list[tuple[int, tuple[float, float, float]]]:
    """Return the structures with the largest force errors, with their errors."""
    if not sizes:
        return []
    forces = 1e3 * (arrays["forces"] - arrays["forces_reference"])
    energies = 1e3 * (arrays["energies"] - arrays["energies_reference"])
    parts = np.split(forces, np.cumsum([3 * n for n in sizes])[:-1])
    rmse = [float(np.sqrt(np.mean(part**2))) for part in parts]
    order = sorted(range(len(sizes)), key=lambda i: -rmse[i])[:WORST]
    return [
        (i, (rmse[i], float(np.abs(parts[i]).max()), float(energies[i]))) for i in order
    ]
