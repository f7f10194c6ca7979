"""GFN1-xTB labels are derivatives of an energy, and failures say what failed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from pydantic import TypeAdapter

from fire_core.config.theory import TheoryConfig, XtbTheory
from fire_core.errors import LabellingError
from fire_core.labelling.codes.xtb import compute
from fire_core.labelling.makers import (
    dict_to_label,
    label_to_dict,
    run_label,
)
from fire_core.labelling.theory import theory_from_config
from fire_core.labelling.triage import check_label, classify
from fire_core.records import FailureKind, Label

TIGHT = XtbTheory(accuracy=0.01)
FORCE = 5e-3  # eV/Å
STRESS = 0.1 / 160.21766  # 0.1 GPa in eV/Å³


@pytest.fixture
def salt() -> object:
    atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    atoms.positions += np.random.default_rng(0).normal(0, 0.08, atoms.positions.shape)
    return atoms


def test_forces_and_stress_are_derivatives_of_the_energy(salt: object) -> None:
    atoms = salt
    label = compute(TIGHT, atoms)  # type: ignore[arg-type]
    step = 5e-3

    def energy(change: object) -> float:
        copy = atoms.copy()  # type: ignore[attr-defined]
        change(copy)  # type: ignore[operator]
        return compute(TIGHT, copy).energy

    def moved(sign: float) -> object:
        def change(copy: object) -> None:
            copy.positions[2, 1] += sign * step  # type: ignore[attr-defined]

        return change

    slope = (energy(moved(1)) - energy(moved(-1))) / (2 * step)
    assert label.forces[2, 1] == pytest.approx(-slope, abs=FORCE)

    def strained(sign: float) -> object:
        def change(copy: object) -> None:
            strain = np.eye(3)
            strain[0, 0] += sign * step
            copy.set_cell(copy.cell.array @ strain, scale_atoms=True)  # type: ignore[attr-defined]

        return change

    slope = (energy(strained(1)) - energy(strained(-1))) / (2 * step)
    assert label.stress is not None
    volume = atoms.get_volume()  # type: ignore[attr-defined]
    assert label.stress[0] == pytest.approx(slope / volume, abs=STRESS)


def test_a_label_through_its_maker_is_the_codes_own(
    salt: object, tmp_path: Path
) -> None:
    before = Path.cwd()
    label = run_label(XtbTheory(), salt, workdir=tmp_path)  # type: ignore[arg-type]
    direct = compute(XtbTheory(), salt)  # type: ignore[arg-type]
    assert label.energy == direct.energy
    assert np.array_equal(label.forces, direct.forces)
    assert Path.cwd() == before
    assert list(tmp_path.iterdir()) == []
    assert os.environ.get("PWD") is not None or before


def broken(kind: str) -> object:
    atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    if kind == "overlap":
        atoms.positions[0] = atoms.positions[1] + [0, 0, 0.5]
    elif kind == "nan":
        atoms.positions[0, 0] = np.nan
    elif kind == "element":
        atoms.numbers[0] = 94
    return atoms


@pytest.mark.parametrize(
    ("kind", "theory", "failure", "message"),
    [
        ("overlap", XtbTheory(), FailureKind.BAD_GEOMETRY, "covalent radii"),
        ("nan", XtbTheory(), FailureKind.BAD_GEOMETRY, "NaN"),
        ("element", XtbTheory(), FailureKind.UNKNOWN_ELEMENT, "Pu"),
        ("", XtbTheory(max_iterations=2), FailureKind.NOT_CONVERGED, "2 cycles"),
    ],
)
def test_a_failure_has_a_kind_and_a_reason(
    kind: str, theory: XtbTheory, failure: FailureKind, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LabellingError, match=message) as caught:
        run_label(theory, broken(kind), workdir=tmp_path)  # type: ignore[arg-type]
    assert caught.value.kind == failure
    assert classify(caught.value).kind is failure


def test_what_tblite_itself_says_is_recognised() -> None:
    with pytest.raises(Exception, match="Z >86") as caught:
        compute(XtbTheory(), broken("element"))  # type: ignore[arg-type]
    assert classify(caught.value).kind is FailureKind.UNKNOWN_ELEMENT
    assert classify(ZeroDivisionError("x")).kind is FailureKind.CRASHED


def test_absurd_and_undefined_numbers_are_no_labels() -> None:
    forces = np.zeros((2, 3))
    check_label(Label(-1.0, forces, np.zeros(6)))
    with pytest.raises(LabellingError, match="NaN or infinity"):
        check_label(Label(float("nan"), forces))
    with pytest.raises(LabellingError, match="largest force is 150 eV/Å"):
        check_label(Label(-1.0, forces + 150.0))


def test_the_fingerprint_changes_exactly_with_what_changes_a_label() -> None:
    base = theory_from_config(XtbTheory()).fingerprint
    assert theory_from_config(XtbTheory()).fingerprint == base
    assert theory_from_config(XtbTheory(max_iterations=50)).fingerprint == base
    different = (
        {"method": "GFN2-xTB"},
        {"accuracy": 0.1},
        {"electronic_temperature": 1000.0},
    )
    others = {
        theory_from_config(XtbTheory(**change)).fingerprint for change in different
    }
    teacher = TypeAdapter(TheoryConfig).validate_python(
        {"kind": "teacher", "backbone": "fire-mini"}
    )
    others.add(theory_from_config(teacher).fingerprint)
    assert len(others | {base}) == 5


def test_labels_pass_through_json_exactly() -> None:
    label = Label(-1 / 3, np.array([[5e-324, -0.0, 1e300]]), np.arange(6) / 7)
    back = dict_to_label(label_to_dict(label))
    assert back.energy == label.energy
    assert back.forces.tobytes() == label.forces.tobytes()
    assert back.stress is not None
    assert back.stress.tobytes() == np.asarray(label.stress).tobytes()


def test_a_teacher_labels_as_its_backbone_predicts(tmp_path: Path) -> None:
    from fire_core.backbones.registry import load_backbone

    atoms = bulk("LiCl", "rocksalt", a=5.2)
    theory = TypeAdapter(TheoryConfig).validate_python(
        {"kind": "teacher", "backbone": "fire-mini"}
    )
    label = run_label(theory, atoms, workdir=tmp_path)
    expected = load_backbone("fire-mini", device="cpu", dtype="float64").predict(
        [atoms]
    )
    assert label.energy == pytest.approx(expected[0].energy, abs=1e-9)
