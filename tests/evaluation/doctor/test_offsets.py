"""References are recovered, and what the compositions do not fix is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fire_core.evaluation.doctor.dataset import find_known
from fire_core.evaluation.doctor.findings import FindingKind, Severity
from fire_core.evaluation.doctor.offsets import examine_elements, examine_references
from tests.evaluation.doctor.conftest import (
    dataset,
    make_frames,
    other_theory,
    predict_all,
    relabel,
    shifted,
)

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.evaluation.doctor.dataset import Predictions
    from fire_core.records import LabelledStructure


def test_sound_energies_are_on_the_backbones_level(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    (finding,) = examine_references(sound, predictions)
    assert finding.severity is Severity.NOTE
    assert finding.numbers["rms_before_ev_per_atom"] < 0.01


def test_an_offset_is_recovered_for_each_element(mini: Backbone) -> None:
    frames = make_frames("LiCl", 6, 0, 1) + make_frames("LiF", 6, 1, 1)
    extra = make_frames("LiCl", 6, 2, 1)
    for atoms in extra:
        atoms.symbols[0] = "F"
        atoms.symbols[1] = "F"  # Li and Cl in another ratio
    truth = {"Li": -1.5, "Cl": 0.7, "F": 40.0}
    items = shifted(other_theory([*frames, *extra], mini, 3), truth)
    (finding,) = examine_references(items, predict_all(items, mini))
    assert finding.severity is Severity.WARNING
    assert "on another level" in finding.what
    assert "fine_tune.references.method: least_squares" in finding.remedy
    assert "do not tell" not in finding.what
    found = {s: finding.numbers[f"shift_{s}_ev"] for s in truth}
    assert found == pytest.approx(truth, abs=0.05)
    assert finding.numbers["rms_after_ev_per_atom"] < 0.01


def test_one_composition_does_not_tell_its_elements_apart(mini: Backbone) -> None:
    items = other_theory(make_frames("LiCl", 12, 0, 1), mini, 1)
    items = shifted(items, {"Li": 3.0, "Cl": 1.0})
    (finding,) = examine_references(items, predict_all(items, mini))
    assert "do not tell Cl, Li apart" in finding.what
    assert "isolated_atoms" in finding.remedy
    both = finding.numbers["shift_Li_ev"] + finding.numbers["shift_Cl_ev"]
    assert both == pytest.approx(4.0, abs=0.02)


def test_one_wild_energy_does_not_move_the_fit(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    items = relabel(sound, lambda i: replace(i.label, energy=i.label.energy + 500), [3])
    (finding,) = examine_references(items, predictions)
    assert finding.severity is Severity.NOTE


def test_two_levels_in_one_file_are_not_explained_by_references(
    sound: list[LabelledStructure], predictions: Predictions
) -> None:
    items = relabel(
        sound,
        lambda i: replace(i.label, energy=i.label.energy + 2.0 * len(i.atoms)),
        range(0, 24, 2),
    )
    (finding,) = examine_references(items, predictions)
    assert finding.severity is Severity.WARNING
    assert "several theory levels" in finding.remedy
    assert finding.numbers["rms_after_ev_per_atom"] == pytest.approx(1.0, abs=0.1)


def test_elements_that_the_backbone_lacks_are_counted_and_left_out(
    mini: Backbone, sound: list[LabelledStructure]
) -> None:
    data = dataset(sound)
    assert examine_elements(data, mini.elements, "fire-mini") == []
    strange = [replace(item, atoms=item.atoms.copy()) for item in sound]
    for i in (4, 9):
        strange[i].atoms.symbols[0] = "Yb"
    strange[9].atoms.symbols[1] = "Cs"
    (finding,) = examine_elements(dataset(strange), mini.elements, "fire-mini")
    assert (finding.kind, finding.severity) == (
        FindingKind.UNKNOWN_ELEMENT,
        Severity.ERROR,
    )
    assert "does not know Yb (2), Cs (1)" in finding.what
    assert (finding.frames, finding.n_frames) == ((4, 9), 2)
    known = find_known(strange, mini.elements)
    assert np.array_equal(known, [i for i in range(24) if i not in {4, 9}])
