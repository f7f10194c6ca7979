"""Examine a set of labels from every side before it is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fire_core.evaluation.doctor.dataset import (
    Predictions,
    choose_evenly,
    choose_suspects,
    find_known,
)
from fire_core.evaluation.doctor.duplicates import examine_duplicates
from fire_core.evaluation.doctor.findings import Finding, order_findings
from fire_core.evaluation.doctor.labels import (
    examine_large_forces,
    examine_net_forces,
    examine_reading,
    examine_repeated_labels,
    examine_zero_forces,
)
from fire_core.evaluation.doctor.leakage import examine_leakage
from fire_core.evaluation.doctor.offsets import examine_elements, examine_references
from fire_core.evaluation.doctor.outliers import (
    examine_energy_outliers,
    examine_force_outliers,
)
from fire_core.evaluation.doctor.scales import (
    examine_energies,
    examine_forces,
    examine_stress,
)

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.evaluation.doctor.dataset import Dataset

DEFAULT_FRAMES = 60
"""Evenly spaced frames that the backbone predicts."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was looked at, and what was found.

    Attributes
    ----------
    n_frames, n_known
        Frames in the file, and those whose elements the backbone knows.
    n_sample, n_suspects
        Frames compared with the backbone because they are evenly spaced, and
        because their labels alone look odd.
    findings
        Errors first.
    """

    n_frames: int
    n_known: int
    n_sample: int
    n_suspects: int
    findings: list[Finding]


def predict_sample(data: Dataset, backbone: Backbone, most: int) -> Predictions:
    """Return the backbone's labels of at most `most` even frames, and of suspects."""
    known = find_known(data.items, backbone.elements)
    sample = choose_evenly(known, most)
    asked = sorted({*sample, *choose_suspects(data.items, known)})
    labels = backbone.predict([data.items[i].atoms for i in asked])
    return Predictions(dict(zip(asked, labels, strict=True)), sample)


def examine(
    data: Dataset,
    backbone: Backbone,
    *,
    test: Dataset | None = None,
    most: int = DEFAULT_FRAMES,
) -> Examination:
    """Return everything that was found about a set of labels.

    Parameters
    ----------
    data
        The training set.
    backbone
        The model that is to be fine-tuned.
    test
        A set to judge by, examined for frames that the training set gives away.
    most
        Evenly spaced frames to predict; the rest is examined without the backbone.
    """
    predictions = predict_sample(data, backbone, most)
    findings = [
        *examine_reading(data),
        *examine_elements(data, backbone.elements, backbone.name),
        *examine_references(data.items, predictions),
        *examine_energies(data.items, predictions),
        *examine_forces(data.items, predictions),
        *examine_stress(data.items, predictions),
        *examine_net_forces(data),
        *examine_zero_forces(data, predictions),
        *examine_repeated_labels(data),
        *examine_large_forces(data),
        *examine_energy_outliers(data, predictions),
        *examine_force_outliers(data, predictions),
        *examine_duplicates(data),
    ]
    if test is not None:
        findings += examine_leakage(data, test)
    return Examination(
        data.n_frames,
        len(find_known(data.items, backbone.elements)),
        len(predictions.sample),
        len(predictions.labels) - len(predictions.sample),
        order_findings(findings),
    )
