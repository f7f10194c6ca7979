"""Labels far from the backbone's are found, and hot or strained frames are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fire_core.evaluation.doctor.dataset import Predictions
from fire_core.evaluation.doctor.examine import predict_sample
from fire_core.evaluation.doctor.findings import Severity
from fire_core.evaluation.doctor.offsets import fit_trimmed, residuals
from fire_core.evaluation.doctor.outliers import (
    examine_energy_outliers,
    examine_force_outliers,
)
from tests.evaluation.doctor.conftest import dataset, relabel, shifted

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.records import LabelledStructure


def test_sound_labels_raise_no_alarm_on_any_level(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    far = shifted(sound, {"Li": -200.0, "Cl": -12000.0, "F": -2700.0})
    for items in (sound, far):
        assert examine_energy_outliers(dataset(items), predictions) == []
        assert examine_force_outliers(dataset(items), predictions) == []


def test_a_wrong_energy_is_found_whatever_the_references(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    far = shifted(sound, {"Li": -200.0, "Cl": -12000.0, "F": -2700.0})
    items = relabel(
        far,
        lambda i: replace(i.label, energy=i.label.energy + 0.3 * len(i.atoms)),
        [5, 17],
    )
    (finding,) = examine_energy_outliers(dataset(items), predictions)
    assert (finding.severity, finding.frames) == (Severity.WARNING, (5, 17))
    assert finding.numbers["worst_ev_per_atom"] == pytest.approx(0.3, abs=0.02)


def test_a_composition_seen_once_is_not_judged_by_the_spread_within_another(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    """What a backbone misses of another composition is no error of its label."""
    lone = sound[0].atoms.copy()
    lone.symbols[lone.symbols.indices()["Cl"][:8]] = "F"  # between the two fitted
    shift = fit_trimmed(sound, predictions).shift
    label = predictions.labels[0]
    energy = 0.07 * len(lone) + label.energy
    energy += sum(shift[s] for s in lone.get_chemical_symbols())
    item = replace(sound[0], atoms=lone, label=replace(label, energy=energy))
    both = Predictions(
        {**predictions.labels, 24: label}, [*predictions.sample, len(sound)]
    )
    assert examine_energy_outliers(dataset([*sound, item]), both) == []
    left = residuals([*sound, item], both, [24], fit_trimmed([*sound, item], both))
    assert left == pytest.approx(0.07, abs=0.01)
    again = Predictions(both.labels | {25: label, 26: label}, [*both.sample, 25, 26])
    ok = replace(item, label=replace(label, energy=energy - 0.07 * len(lone)))
    (finding,) = examine_energy_outliers(dataset([*sound, item, ok, ok]), again)
    assert finding.frames == (24,)


def test_forces_of_another_frame_are_found(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    rng = np.random.default_rng(0)
    items = relabel(
        sound, lambda i: replace(i.label, forces=rng.permutation(i.label.forces)), [9]
    )
    (finding,) = examine_force_outliers(dataset(items), predictions)
    assert finding.frames == (9,)
    assert finding.numbers["worst_ratio"] == pytest.approx(1.4, abs=0.3)


def test_frames_outside_the_even_sample_are_asked_when_they_look_odd(
    sound: list[LabelledStructure], mini: Backbone
) -> None:
    items = relabel(sound, lambda i: replace(i.label, energy=i.label.energy + 20), [11])
    predictions = predict_sample(dataset(items), mini, 12)
    assert len(predictions.sample) == 12
    assert 11 in predictions.labels
    assert 11 not in predictions.sample
    (finding,) = examine_energy_outliers(dataset(items), predictions)
    assert finding.frames == (11,)
