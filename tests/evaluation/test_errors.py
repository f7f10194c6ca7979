"""Errors by hand, reference energies exactly, forgetting without offsets."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.evaluation.references import fit_references, shift_energies
from fire_core.records import Label
from tests.training.conftest import labelled, make_backbone, rattled


def test_errors_are_those_computed_by_hand() -> None:
    items = labelled(rattled("LiF", 2, 0))
    predicted = [
        Label(i.label.energy + 0.008 * s, i.label.forces.copy(), i.label.stress)
        for i, s in zip(items, (1, -3), strict=True)
    ]
    predicted[0].forces[2, 1] += 0.5
    errors = summarise_errors(predicted, items)
    assert errors.energy_rmse == pytest.approx(np.sqrt((1 + 9) / 2))  # meV/atom
    assert errors.energy_mae == pytest.approx(2.0)
    assert errors.force_max == pytest.approx(500.0)  # meV/Å
    assert errors.force_rmse == pytest.approx(500.0 / np.sqrt(48))
    assert errors.stress_mae == pytest.approx(0.0)
    assert (
        errors.force_rmse_by_element["F" if items[0].atoms[2].symbol == "F" else "Li"]
        > 0
    )


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one labelled structure"):
        summarise_errors([], [])


def test_a_per_element_offset_is_recovered_exactly() -> None:
    frames = rattled("LiF", 2, 0) + rattled("LiCl", 2, 1)
    frames += [bulk("Li", "bcc", a=3.4)]
    plain = labelled(frames)
    truth = {"Li": -5.0, "F": 11.0, "Cl": -300.0}
    moved = shift_energies([i.label for i in plain], frames, truth)
    back = fit_references(plain, moved).shift
    assert {s: -v for s, v in back.items()} == pytest.approx(truth, abs=1e-8)


def test_one_composition_is_fitted_exactly_though_its_elements_cannot_be_told() -> None:
    items = labelled(rattled("LiF", 4, 0))
    moved = shift_energies(
        [i.label for i in items], [i.atoms for i in items], {"Li": 100.0, "F": -7.0}
    )
    shift = fit_references(items, moved).shift
    restored = shift_energies(moved, [i.atoms for i in items], shift)
    for item, label in zip(items, restored, strict=True):
        assert label.energy == pytest.approx(item.label.energy, abs=1e-8)


def test_forgetting_ignores_reference_energies_but_not_forces() -> None:
    backbone = make_backbone(dtype="float64")
    heldout = labelled(rattled("LiCl", 4, 3) + rattled("LiF", 3, 4))
    before = measure_forgetting(backbone, heldout)
    energies = backbone.model.atomic_energies_fn.atomic_energies
    energies.data = energies.data + 50.0
    after = measure_forgetting(backbone, heldout)
    assert after.energy_mae == pytest.approx(before.energy_mae, abs=1e-6)
    assert after.force_mae == pytest.approx(before.force_mae)
    scale = backbone.model.scale_shift.scale
    scale.data = scale.data * 1.5
    predicted = backbone.predict([i.atoms for i in heldout])
    expected = summarise_errors(predicted, heldout).force_mae
    assert measure_forgetting(backbone, heldout).force_mae == pytest.approx(expected)
    assert expected != pytest.approx(before.force_mae, rel=1e-6)
