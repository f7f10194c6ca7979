"""Errors, forgetting and drift: measured as known, and refused where spoilt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fire_core.config.gates import GatesConfig
from fire_core.config.steps import StabilityConfig
from fire_core.evaluation.gates.drift import gate_drift
from fire_core.evaluation.gates.errors import gate_errors
from fire_core.evaluation.gates.forgetting import gate_forgetting
from fire_core.testing.gates import Spoilt, with_energy, with_forces

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.mace import MaceBackbone
    from fire_core.records import LabelledStructure

LIMITS = GatesConfig()
NVE = StabilityConfig(steps=40)


@pytest.fixture(scope="module")
def own_labels(
    fire_mini: MaceBackbone, heldout: list[LabelledStructure]
) -> list[LabelledStructure]:
    """Structures whose labels are the model's own."""
    labels = fire_mini.predict([item.atoms for item in heldout])
    return [replace(i, label=x) for i, x in zip(heldout, labels, strict=True)]


def test_a_model_without_error_passes(
    fire_mini: MaceBackbone, own_labels: list[LabelledStructure]
) -> None:
    energy, force = gate_errors(fire_mini, own_labels, LIMITS)
    assert (energy.passed, force.passed) == (True, True)
    assert energy.value == pytest.approx(0, abs=0.1)
    assert force.value == pytest.approx(0, abs=0.1)


def test_each_error_is_refused_with_its_number(
    fire_mini: MaceBackbone, own_labels: list[LabelledStructure]
) -> None:
    shifted = Spoilt(fire_mini, with_energy(lambda a, e: e + 0.05 * len(a)))
    energy, force = gate_errors(shifted, own_labels, LIMITS)
    assert (energy.passed, force.passed) == (False, True)
    assert energy.value == pytest.approx(50, abs=0.1)
    assert energy.text == "energy RMSE on 8 test structures 50 meV/atom, above 10"
    pushed = Spoilt(fire_mini, with_forces(lambda f: f - 0.15))
    energy, force = gate_errors(pushed, own_labels, LIMITS)
    assert (energy.passed, force.passed) == (True, False)
    assert force.value == pytest.approx(150, abs=0.1)


def test_a_prediction_that_is_no_number_is_refused(
    fire_mini: MaceBackbone, own_labels: list[LabelledStructure]
) -> None:
    broken = Spoilt(fire_mini, with_energy(lambda *_: float("nan")))
    energy, _ = gate_errors(broken, own_labels, LIMITS)
    assert (energy.passed, energy.value) == (False, None)
    assert "not a finite number" in energy.text


def test_forgetting_is_relative_to_the_parent(
    fire_mini: MaceBackbone, heldout: list[LabelledStructure]
) -> None:
    same = gate_forgetting(fire_mini, fire_mini, heldout, LIMITS)
    assert (same.passed, same.value) == (True, 1.0)
    worse = Spoilt(fire_mini, with_forces(lambda f: 2 * f))
    result = gate_forgetting(worse, fire_mini, heldout, LIMITS)
    assert not result.passed
    # a second implementation: mean absolute errors over all components
    labels = fire_mini.predict([item.atoms for item in heldout])
    pairs = [(x.forces, i.label.forces) for x, i in zip(labels, heldout, strict=True)]
    before = np.abs(np.concatenate([p - r for p, r in pairs])).mean()
    after = np.abs(np.concatenate([2 * p - r for p, r in pairs])).mean()
    assert result.value == pytest.approx(after / before, rel=1e-5)
    assert result.text.endswith("× parent's, above 1.1")


def test_energy_is_conserved_by_the_gradient_and_not_by_turned_forces(
    fire_mini: MaceBackbone, cell: Atoms
) -> None:
    good = gate_drift(fire_mini, cell, NVE, seed=1)
    assert good.passed
    assert good.value is not None
    turn = np.array([[0.94, -0.34, 0], [0.34, 0.94, 0], [0, 0, 1]])
    bad = gate_drift(
        Spoilt(fire_mini, with_forces(lambda f: f @ turn)), cell, NVE, seed=1
    )
    assert not bad.passed
    assert bad.value is not None
    assert bad.value > 50 * good.value


def test_an_explosion_at_constant_energy_is_said(
    fire_mini: MaceBackbone, cell: Atoms
) -> None:
    wild = Spoilt(fire_mini, with_forces(lambda f: -300 * f))
    result = gate_drift(wild, cell, NVE, seed=1)
    assert (result.passed, result.value) == (False, None)
    assert result.text.startswith("exploded after ")
