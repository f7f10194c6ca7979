"""Labels that are wrong by themselves are found; sound ones raise no alarm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from fire_core.errors import StructureError
from fire_core.evaluation.doctor.dataset import choose_suspects, read_dataset
from fire_core.evaluation.doctor.findings import FindingKind, Severity
from fire_core.evaluation.doctor.labels import (
    examine_large_forces,
    examine_net_forces,
    examine_reading,
    examine_repeated_labels,
    examine_zero_forces,
)
from fire_core.storage.exchange import frame_text
from tests.evaluation.doctor.conftest import dataset, other_theory, predict_all, relabel

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.backbones.base import Backbone
    from fire_core.evaluation.doctor.dataset import Predictions
    from fire_core.records import Label, LabelledStructure


def text_of(item: LabelledStructure, **changes: object) -> str:
    label = item.label
    options: dict[str, object] = {
        "energy": label.energy,
        "forces": label.forces,
        "stress": label.stress,
    }
    return frame_text(item.atoms, **(options | changes))  # type: ignore[arg-type]


def test_sound_labels_raise_no_alarm(
    sound: list[LabelledStructure], predictions: Predictions, tmp_path: Path
) -> None:
    data = dataset(sound)
    assert examine_net_forces(data) == []
    assert examine_zero_forces(data, predictions) == []
    assert examine_repeated_labels(data) == []
    assert examine_large_forces(data) == []
    path = tmp_path / "sound.extxyz"
    path.write_text("".join(map(text_of, sound)))
    back = read_dataset(path)
    assert examine_reading(back) == []
    assert [i.key for i in back.items] == [i.key for i in sound]


def test_reading_goes_on_after_every_bad_frame_and_says_what_is_wrong(
    sound: list[LabelledStructure], tmp_path: Path
) -> None:
    close = replace(sound[5], atoms=sound[5].atoms.copy())
    close.atoms.positions[0] = close.atoms.positions[1] + [0, 0, 0.3]
    forces = sound[1].label.forces.copy()
    forces[2, 1] = np.nan
    path = tmp_path / "broken.extxyz"
    path.write_text(
        text_of(sound[0])
        + text_of(sound[1], forces=forces)
        + text_of(sound[2], energy=np.inf)
        + text_of(sound[3]).replace("energy=", "REF_energy=")
        + text_of(sound[4])
        + text_of(close)
        + text_of(sound[6])[:-300]
    )
    data = read_dataset(path)
    assert data.numbers == [0, 4]
    found = {f.what.split("used: ")[1].split(",")[0]: f for f in examine_reading(data)}
    assert {kind: f.frames for kind, f in found.items()} == {
        "not_finite": (1, 2),
        "no_energy": (3,),
        "overlap": (5,),
        "truncated": (6,),
    }
    assert all(f.severity is Severity.ERROR for f in found.values())
    assert "the file has REF_energy: if those are the labels, rename" in (
        found["no_energy"].what
    )


def test_files_without_a_frame_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="no file at"):
        read_dataset(tmp_path / "nowhere.extxyz")
    (tmp_path / "empty.extxyz").touch()
    with pytest.raises(StructureError, match="holds no frame"):
        read_dataset(tmp_path / "empty.extxyz")


def test_several_theories_and_virials_beside_no_stress_are_said(
    sound: list[LabelledStructure], tmp_path: Path
) -> None:
    texts = [text_of(i, stress=None, info={"virial_kB": "1.0"}) for i in sound[:3]]
    texts[1] = text_of(sound[1], info={"theory": "r2scan"})
    path = tmp_path / "mixed.extxyz"
    path.write_text("".join(texts))
    theories, stress = examine_reading(read_dataset(path))
    assert (theories.kind, theories.frames) == (FindingKind.MIXED_THEORY, (1,))
    assert "none named (2), r2scan (1)" in theories.what
    assert (stress.severity, stress.frames) == (Severity.NOTE, (0, 2))
    assert "the file has virial_kB, which is not read" in stress.what


def test_a_stress_of_zeros_is_a_placeholder(sound: list[LabelledStructure]) -> None:
    items = relabel(sound, lambda i: replace(i.label, stress=np.zeros(6)), [3, 4])
    (finding,) = examine_reading(dataset(items))
    assert (finding.kind, finding.severity) == (
        FindingKind.ZERO_STRESS,
        Severity.ERROR,
    )
    assert finding.frames == (3, 4)


@pytest.mark.parametrize(
    ("pull", "severity"), [(0.02, Severity.WARNING), (0.2, Severity.ERROR)]
)
def test_a_net_force_is_measured(
    sound: list[LabelledStructure], pull: float, severity: Severity
) -> None:
    def drag(item: LabelledStructure) -> Label:
        return replace(item.label, forces=item.label.forces + np.array([0, pull, 0]))

    (finding,) = examine_net_forces(dataset(relabel(sound, drag, [2, 7])))
    assert finding.severity is severity
    assert finding.frames == (2, 7)
    assert finding.numbers["max_mev_per_angstrom"] == pytest.approx(1e3 * pull)


def test_zero_forces_are_believed_of_a_crystal_and_of_no_other(
    sound: list[LabelledStructure], mini: Backbone
) -> None:
    perfect = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    items = [*other_theory([perfect], mini, 0), *sound[:7]]
    items = relabel(
        items, lambda i: replace(i.label, forces=np.zeros_like(i.label.forces)), [0, 5]
    )
    assert {0, 5} <= set(choose_suspects(items, range(len(items))))
    (finding,) = examine_zero_forces(dataset(items), predict_all(items, mini))
    assert finding.severity is Severity.ERROR
    assert finding.frames == (5,)
    crystal = dataset(items[:1])
    assert examine_zero_forces(crystal, predict_all(crystal.items, mini)) == []


def test_one_frames_forces_on_other_structures_are_found(
    sound: list[LabelledStructure],
) -> None:
    stale = relabel(
        sound, lambda i: replace(i.label, forces=sound[3].label.forces), [4, 5]
    )
    (finding,) = examine_repeated_labels(dataset(stale))
    assert finding.severity is Severity.ERROR
    assert finding.frames == (3, 4, 5)


def test_one_force_on_every_atom_and_one_energy_everywhere_are_found(
    sound: list[LabelledStructure],
) -> None:
    even = relabel(
        sound, lambda i: replace(i.label, forces=np.full_like(i.label.forces, 0.3)), [8]
    )
    (finding,) = examine_repeated_labels(dataset(even))
    assert finding.frames == (8,)
    stuck = relabel(sound, lambda i: replace(i.label, energy=-55.5))
    (finding,) = examine_repeated_labels(dataset(stuck))
    assert "24 frames of 24 structures have one energy, -55.5" in finding.what


def test_a_structure_given_twice_may_have_its_forces_twice(
    sound: list[LabelledStructure],
) -> None:
    atoms = sound[0].atoms.copy()
    atoms.positions[3] += atoms.cell[0]  # an image
    again = replace(sound[0], atoms=atoms, key="image")
    assert examine_repeated_labels(dataset([*sound, again])) == []


def test_large_forces_are_counted(sound: list[LabelledStructure]) -> None:
    def push(item: LabelledStructure) -> Label:
        forces = item.label.forces.copy()
        forces[[0, 1], 0] = 25.0, -25.0
        return replace(item.label, forces=forces)

    (finding,) = examine_large_forces(dataset(relabel(sound, push, [6])))
    assert (finding.severity, finding.frames) == (Severity.WARNING, (6,))
    assert finding.numbers["max_ev_per_angstrom"] == pytest.approx(25, abs=0.5)


def test_a_single_atom_has_no_forces_to_repeat() -> None:
    from fire_core.records import Label, LabelledStructure

    items = [
        LabelledStructure(
            str(a), Atoms("Li", cell=[a] * 3, pbc=True), Label(-a, np.zeros((1, 3))), ""
        )
        for a in (3.0, 3.2, 3.4)
    ]
    data = dataset(items)
    assert examine_repeated_labels(data) == []
    assert examine_net_forces(data) == []
