"""What a fine-tuned model has forgotten of its pre-training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.references import fit_references, shift_energies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.backbones.base import Backbone
    from fire_core.records import ErrorSummary, LabelledStructure


def measure_forgetting(
    backbone: Backbone, heldout: Sequence[LabelledStructure]
) -> ErrorSummary:
    """Return a model's errors on held-out pre-training structures.

    A fine-tuned model carries its target's reference energies, so a per-element
    offset is fitted and taken out before energies are compared; forces and
    stresses are compared as they are.
    """
    frames = [item.atoms for item in heldout]
    predicted = backbone.predict(frames)
    shift = fit_references(heldout, predicted).shift
    return summarise_errors(shift_energies(predicted, frames, shift), heldout)
