"""Reference energies and elements: what the backbone needs to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.evaluation.doctor.findings import (
    Finding,
    FindingKind,
    Severity,
    first_frames,
)
from fire_core.evaluation.references import fit_references, shift_energies

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from fire_core.evaluation.doctor.dataset import Dataset, Predictions
    from fire_core.evaluation.references import ReferenceFit
    from fire_core.records import LabelledStructure

OTHER_LEVEL: Final = 0.1
"""Offset above which the labels are on another level than the backbone, eV/atom."""
UNEXPLAINED: Final = 0.2
"""Residual above which a constant for each element does not explain them, eV/atom."""
EXPLAINED: Final = 0.5
"""Part of the offset that may be left for it to be one of references."""
TRIM: Final = 6.0
"""Residuals this many median residuals large do not take part in the fit."""


def examine_elements(
    data: Dataset, elements: Collection[str], backbone: str
) -> list[Finding]:
    """Find elements that the backbone does not know."""
    unknown: dict[str, int] = {}
    frames = []
    for number, item in zip(data.numbers, data.items, strict=True):
        missing = set(item.atoms.get_chemical_symbols()) - set(elements)
        if missing:
            frames.append(number)
        for symbol in missing:
            unknown[symbol] = unknown.get(symbol, 0) + 1
    if not unknown:
        return []
    most = sorted(unknown, key=lambda s: (-unknown[s], s))
    named = ", ".join(f"{s} ({unknown[s]})" for s in most[:12])
    more = f" and {len(most) - 12} more" if len(most) > 12 else ""
    return [
        Finding(
            FindingKind.UNKNOWN_ELEMENT,
            Severity.ERROR,
            f"{backbone} does not know {named}{more} (frames with each): "
            f"{len(frames)} of {len(data.items)} frames cannot be trained on, and were "
            "not compared with it",
            "set backbone.name to a model that knows them, such as medium-mpa-0, or "
            "leave those frames out",
            first_frames(frames),
            len(frames),
            {f"n_frames_{s}": float(n) for s, n in sorted(unknown.items())},
        )
    ]


def fit_trimmed(
    items: Sequence[LabelledStructure], predictions: Predictions
) -> ReferenceFit:
    """Fit references on the sample, a second time without what fits badly."""
    chosen = list(predictions.sample)
    fit = _fit(items, predictions, chosen)
    size = np.abs(residuals(items, predictions, chosen, fit))
    limit = max(TRIM * float(np.median(size)), 1e-3)
    kept = [i for i, left in zip(chosen, size, strict=True) if left <= limit]
    return fit if len(kept) == len(chosen) else _fit(items, predictions, kept)


def residuals(
    items: Sequence[LabelledStructure],
    predictions: Predictions,
    positions: Sequence[int],
    fit: ReferenceFit,
) -> NDArray[np.float64]:
    """Return label minus shifted prediction of some frames, (n,), eV/atom."""
    frames = [items[i].atoms for i in positions]
    predicted = [predictions.labels[i] for i in positions]
    shifted = shift_energies(predicted, frames, fit.shift)
    return np.array(
        [
            (items[i].label.energy - label.energy) / len(items[i].atoms)
            for i, label in zip(positions, shifted, strict=True)
        ]
    )


def examine_references(
    items: Sequence[LabelledStructure], predictions: Predictions
) -> list[Finding]:
    """Find the per-element constant between the labels' level and the backbone's."""
    if not predictions.sample:
        return []
    fit = fit_trimmed(items, predictions)
    numbers = {f"shift_{s}_ev": v for s, v in sorted(fit.shift.items())}
    numbers |= {
        "rms_before_ev_per_atom": fit.rms_before,
        "rms_after_ev_per_atom": fit.rms_after,
    }
    told = f"energies are near the backbone's level; {fit.describe()}"
    severity, remedy = Severity.NOTE, ""
    if fit.rms_after > UNEXPLAINED:
        severity = Severity.WARNING
        told = (
            "a constant for each element does not bring the energies to the "
            f"backbone's: residual {fit.rms_before:.3f} → {fit.rms_after:.3f} eV/atom, "
            f"expected below {UNEXPLAINED:g}"
        )
        remedy = (
            "look for several theory levels or units in one file; if there are none, "
            "the backbone is far from this chemistry, and needs more labels"
        )
    elif fit.rms_before > OTHER_LEVEL and fit.rms_after < EXPLAINED * fit.rms_before:
        severity = Severity.WARNING
        told = f"energies are on another level than the backbone's; {fit.describe()}"
        remedy = _what_to_set(fit)
    return [
        Finding(
            FindingKind.REFERENCES,
            severity,
            told,
            remedy,
            numbers=numbers,
        )
    ]


def _what_to_set(fit: ReferenceFit) -> str:
    remedy = (
        "keep fine_tune.references.method: least_squares (the default), which takes "
        "this out; `keep` would train on the offset"
    )
    if fit.undetermined:
        remedy += (
            "; for other compositions give method: isolated_atoms with the energies of "
            "single atoms, or add frames of other compositions"
        )
    return remedy


def _fit(
    items: Sequence[LabelledStructure], predictions: Predictions, chosen: list[int]
) -> ReferenceFit:
    return fit_references(
        [items[i] for i in chosen], [predictions.labels[i] for i in chosen]
    )
