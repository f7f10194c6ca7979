"""Shift the target's energies to the foundation model's scale, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fire_core.backbones.trainable import elements_of
from fire_core.errors import TrainingError
from fire_core.evaluation.references import (
    LARGE,
    ReferenceFit,
    fit_references,
    shift_energies,
    shift_references,
)
from fire_core.records import Label
from fire_core.training.data import SAMPLE, sample_elements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import LabelledStructure


def find_shift(
    backbone: Trainable, train: Sequence[LabelledStructure], config: TrainConfig
) -> ReferenceFit:
    """Return what each element's reference energy differs by, target over foundation.

    Training from scratch knows nothing of the interaction energy, so its references
    are fitted to the total energies.

    Of a large set, frames evenly spaced and some of each element are looked at.

    Raises
    ------
    TrainingError
        The fit is under-determined and that was to be refused, or an isolated atom
        is missing.
    """
    references = config.references
    isolated = {}
    if references.method != "keep":
        isolated = _isolated(backbone, train, config)
    looked_at = sample_elements(train, SAMPLE)
    if config.strategy == "scratch":
        predicted = [_atoms_alone(backbone, item) for item in looked_at]
    else:
        predicted = backbone.predict([item.atoms for item in looked_at])
    if references.method == "least_squares":
        fit = fit_references(looked_at, predicted, known=isolated, ridge=True)
    else:
        fit = shift_references(looked_at, predicted, isolated)
    if fit.undetermined and references.under_determined == "refuse":
        msg = (
            f"the compositions of {len(train)} structures do not determine the "
            f"reference energies of {', '.join(fit.undetermined)} one by one to "
            f"{LARGE} eV ({fit.describe()}); add structures of other compositions, "
            "give references.isolated_atoms, or set references.under_determined: "
            "shift_determined"
        )
        raise TrainingError(msg)
    return replace(fit, unshifted=tuple(sorted(backbone.elements - fit.shift.keys())))


def to_foundation_scale(
    items: Sequence[LabelledStructure], shift: Mapping[str, float]
) -> list[LabelledStructure]:
    """Return labels with the shift taken out."""
    back = {symbol: -value for symbol, value in shift.items()}
    labels = shift_energies([i.label for i in items], [i.atoms for i in items], back)
    return [replace(i, label=label) for i, label in zip(items, labels, strict=True)]


def _atoms_alone(backbone: Trainable, item: LabelledStructure) -> Label:
    symbols = item.atoms.get_chemical_symbols()
    energy = sum(backbone.atomic_energies[s] for s in symbols)
    return Label(energy, 0.0 * item.label.forces)


def _isolated(
    backbone: Trainable, train: Sequence[LabelledStructure], config: TrainConfig
) -> dict[str, float]:
    given = config.references.isolated_atoms
    present = elements_of(train)
    missing = sorted(present - given.keys())
    if missing and config.references.method == "isolated_atoms":
        msg = (
            f"references.isolated_atoms lacks {', '.join(missing)}; give the energy "
            "of each isolated atom at the target's theory level, in eV (`fire theory "
            "atoms` computes it; `fire label failures` says why a campaign could not), "
            "or set references.method: least_squares"
        )
        raise TrainingError(msg)
    known = sorted(present & given.keys())
    return {s: given[s] - backbone.atomic_energies[s] for s in known}
