"""What a convergence scan calls enough."""

import numpy as np
from ase.units import GPa

from fire_core.labelling.converge import coarsest_enough, judge_scan
from fire_core.records import Label


def label(energy: float, force: float, pressure: float | None) -> Label:
    """Return a label of two atoms; eV, eV/Å, GPa."""
    stress = (
        None if pressure is None else -pressure * GPa * np.array([1.0] * 3 + [0.0] * 3)
    )
    return Label(energy, np.array([[force, 0.0, 0.0], [-force, 0.0, 0.0]]), stress)


def test_a_stress_off_by_more_than_a_tenth_of_a_gpa_is_not_enough() -> None:
    labels = {
        200.0: label(-10.0, 1.0, 12.0),
        300.0: label(-10.0, 1.0, 10.2),
        400.0: label(-10.0, 1.0, 10.05),
        500.0: label(-10.0, 1.0, 10.0),
    }
    steps = judge_scan("cutoff", labels)
    assert [round(step.stress_gpa or 0.0, 9) for step in steps] == [2.0, 0.2, 0.05, 0.0]
    assert [step.fails_by_stress_alone for step in steps] == [True, True, False, False]
    found = coarsest_enough(steps)
    assert found is not None
    assert found.value == 400.0


def test_labels_without_a_stress_are_judged_by_energy_and_forces() -> None:
    labels = {
        30.0: label(-10.0, 1.007, None),
        40.0: label(-10.001, 1.004, None),
        50.0: label(-10.0, 1.0, 3.0),
    }
    steps = judge_scan("cutoff", labels)
    assert [step.stress_gpa for step in steps[:2]] == [None, None]
    assert [step.is_enough for step in steps[:2]] == [False, True]
