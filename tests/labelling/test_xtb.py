"""GFN1-xTB labels are derivatives of an energy, and failures say what failed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from ase.build import bulk

from fire_core.config.theory import TeacherTheory, XtbTheory
from fire_core.errors import LabellingError
from fire_core.labelling.codes.xtb import CAUSES, compute
from fire_core.labelling.plain import dict_to_label, label_to_dict
from fire_core.labelling.run import run_label
from fire_core.labelling.triage import check_label, classify
from fire_core.records import FailureKind, Label
from fire_core.testing.labellers import LabellerContract, rattled_salt


class TestXtb(LabellerContract):
    theory = XtbTheory(accuracy=0.01)
    changes: ClassVar = [
        {"method": "GFN2-xTB"},
        {"accuracy": 0.1},
        {"electronic_temperature": 1000.0},
    ]
    harmless: ClassVar = {"max_iterations": 50}
    step = strain = 5e-3


class TestTeacher(LabellerContract):
    theory = TeacherTheory(backbone="fire-mini")
    changes: ClassVar = [{"backbone": "chgnet"}]
    step = strain = 1e-3


def test_a_label_through_its_maker_is_the_codes_own(tmp_path: Path) -> None:
    before = Path.cwd()
    label = run_label(XtbTheory(), rattled_salt(), workdir=tmp_path)
    direct = compute(XtbTheory(), rattled_salt())
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
    found = classify(caught.value, causes=CAUSES)
    assert found.kind is FailureKind.UNKNOWN_ELEMENT
    assert classify(ZeroDivisionError("x")).kind is FailureKind.CRASHED


def test_absurd_and_undefined_numbers_are_no_labels() -> None:
    forces = np.zeros((2, 3))
    check_label(Label(-1.0, forces, np.zeros(6)))
    with pytest.raises(LabellingError, match="NaN or infinity"):
        check_label(Label(float("nan"), forces))
    with pytest.raises(LabellingError, match="largest force is 150 eV/Å"):
        check_label(Label(-1.0, forces + 150.0))


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
    theory = TeacherTheory(backbone="fire-mini")
    label = run_label(theory, atoms, workdir=tmp_path)
    expected = load_backbone("fire-mini", device="cpu", dtype="float64").predict(
        [atoms]
    )
    assert label.energy == pytest.approx(expected[0].energy, abs=1e-9)
