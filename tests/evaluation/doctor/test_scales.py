"""Signs and units of labels are told from a backbone's, or said to be unknown."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase import units

from fire_core.evaluation.doctor.findings import FindingKind, Severity
from fire_core.evaluation.doctor.scales import (
    compare,
    examine_energies,
    examine_forces,
    examine_stress,
)
from tests.evaluation.doctor.conftest import (
    make_frames,
    other_theory,
    predict_all,
    relabel,
    shifted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.backbones.base import Backbone
    from fire_core.evaluation.doctor.dataset import Predictions
    from fire_core.evaluation.doctor.findings import Finding
    from fire_core.records import Label, LabelledStructure

PASCAL = units.GPa * 1e-9  # ase's own unit system, as a second source of the factors
HARTREE_BOHR3 = units.Hartree / units.Bohr**3


def stressed(factor: Callable[[LabelledStructure], float]) -> object:
    def change(item: LabelledStructure) -> Label:
        assert item.label.stress is not None
        return replace(item.label, stress=factor(item) * item.label.stress)

    return change


STRESSES = {
    "sign": (lambda _: -1.0, "wrong sign: ", -1),
    "GPa": (lambda _: 1 / units.GPa, "wrong unit, probably GPa:", 1),
    "kbar": (lambda _: 10 / units.GPa, "wrong unit, probably kbar:", 1),
    "VASP": (lambda _: -10 / units.GPa, "wrong sign and wrong unit, .* kbar:", -1),
    "Pa": (lambda _: 1 / PASCAL, "wrong unit, probably Pa:", 1),
    "twice": (lambda _: units.GPa, "divided by 160.2 once more:", 1),
    "atomic": (lambda _: 1 / HARTREE_BOHR3, "probably Hartree/Bohr³", 1),
    "virial": (lambda i: -i.atoms.get_volume(), "wrong sign and .* virial", -1),
    "odd": (lambda _: 17.0, "wrong size, of no unit known here", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", STRESSES)
def test_a_wrong_stress_is_named(
    sound: list[LabelledStructure], predictions: Predictions, case: str
) -> None:
    factor, expected, sign = STRESSES[case]
    (finding,) = examine_stress(relabel(sound, stressed(factor)), predictions)
    assert finding.severity is Severity.ERROR
    assert finding.kind is FindingKind.STRESS_SCALE
    assert np.sign(finding.numbers["ratio"]) == sign
    assert re.search(expected, finding.what), finding.what


def assert_right(findings: list[Finding], *, ratio: float) -> None:
    (finding,) = findings
    assert finding.severity is Severity.NOTE
    assert "sign and unit are right" in finding.what
    assert finding.numbers["ratio"] == pytest.approx(ratio, abs=0.1)


def test_sound_labels_are_right(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    assert_right(examine_stress(sound, predictions), ratio=1.1)
    assert_right(examine_forces(sound, predictions), ratio=1.1)
    assert_right(examine_energies(sound, predictions), ratio=1.0)


def test_a_constant_pressure_of_the_backbone_does_not_decide(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    def press(item: LabelledStructure) -> Label:
        assert item.label.stress is not None
        return replace(item.label, stress=item.label.stress - 0.5)

    assert_right(examine_stress(relabel(sound, press), predictions), ratio=1.1)


def test_a_virial_of_a_cell_as_large_as_a_unit_is_named_beside_it(
    mini: Backbone,
) -> None:
    items = other_theory(make_frames("LiCl", 16, 3, repeat=1), mini, 4)  # 133 Å³
    virials = relabel(items, stressed(lambda i: i.atoms.get_volume()))
    (finding,) = examine_stress(virials, predict_all(items, mini))
    assert "virial" in finding.what
    assert "GPa" in finding.what


def test_noise_is_not_judged(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    rng = np.random.default_rng(0)

    def scramble(item: LabelledStructure) -> Label:
        forces = rng.permuted(item.label.forces)
        return replace(item.label, forces=forces, stress=rng.normal(0, 1, 6))

    items = relabel(sound, scramble)
    for findings in (
        examine_stress(items, predictions),
        examine_forces(items, predictions),
    ):
        assert findings[0].severity is Severity.NOTE
        assert "cannot be judged" in findings[0].what


def test_an_odd_size_is_no_alarm_where_the_backbone_is_poor(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    rng = np.random.default_rng(0)
    spread = np.concatenate([i.label.forces for i in sound]).std()

    def blur(item: LabelledStructure) -> Label:
        noise = rng.normal(0, spread, item.label.forces.shape)
        return replace(item.label, forces=4 * (item.label.forces + 0.8 * noise))

    (finding,) = examine_forces(relabel(sound, blur), predictions)
    assert 0.6 < finding.numbers["correlation"] < 0.9
    assert finding.severity is Severity.NOTE
    assert "the backbone's own error may explain it" in finding.what


def test_no_stress_is_no_finding(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    bare = relabel(sound, lambda i: replace(i.label, stress=None))
    assert examine_stress(bare, predictions) == []


FORCES = {
    "wrong sign: ": -1.0,
    "probably Hartree/Bohr:": units.Bohr / units.Hartree,
    "probably Rydberg/Bohr:": units.Bohr / units.Rydberg,
    "probably kcal/mol/Å:": units.mol / units.kcal,
    "kJ/mol/nm:": units.mol * units.nm / units.kJ,
}


@pytest.mark.parametrize("expected", FORCES)
def test_wrong_forces_are_named(
    sound: list[LabelledStructure], predictions: Predictions, expected: str
) -> None:
    items = relabel(
        sound, lambda i: replace(i.label, forces=FORCES[expected] * i.label.forces)
    )
    (finding,) = examine_forces(items, predictions)
    assert finding.severity is Severity.ERROR
    assert expected in finding.what


ENERGIES = {
    "wrong sign: ": -1.0,
    "probably Hartree": 1 / units.Hartree,
    "probably kJ/mol": units.mol / units.kJ,
}


@pytest.mark.parametrize("expected", ENERGIES)
def test_wrong_energies_are_named_whatever_their_references(
    sound: list[LabelledStructure], predictions: Predictions, expected: str
) -> None:
    far = shifted(sound, {"Li": -200.0, "Cl": -12000.0, "F": -2700.0})
    items = relabel(
        far, lambda i: replace(i.label, energy=ENERGIES[expected] * i.label.energy)
    )
    (finding,) = examine_energies(items, predictions)
    assert finding.severity is Severity.ERROR
    assert expected in finding.what


@pytest.mark.parametrize("repeats", [(2, 2), (1, 2)])
def test_energies_per_atom_are_named_also_in_cells_of_several_sizes(
    mini: Backbone, repeats: tuple[int, int]
) -> None:
    frames = [f for i, r in enumerate(repeats) for f in make_frames("LiCl", 8, i, r)]
    items = relabel(
        other_theory(frames, mini, 5),
        lambda i: replace(i.label, energy=i.label.energy / len(i.atoms)),
    )
    (finding,) = examine_energies(items, predict_all(items, mini))
    assert finding.severity is Severity.ERROR
    assert "eV per atom" in finding.what


def test_the_comparison_is_that_of_ranks_and_sizes() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(1)
    predicted = rng.normal(0, 1, 500)
    predicted = predicted[np.abs(predicted) > 0.05]
    label = -3 * predicted + rng.normal(0, 0.5, len(predicted))
    found = compare(label, predicted)
    assert found.correlation == pytest.approx(spearmanr(label, predicted).statistic)
    assert found.ratio == pytest.approx(-3, rel=0.05)
    wild = label.copy()
    wild[:5] = 1e6
    assert compare(wild, predicted).ratio == pytest.approx(-3, rel=0.1)
