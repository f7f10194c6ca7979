"""A label is a job of jobflow that others put into their flows, or change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from jobflow import (  # noqa: TID253 - a flow of jobflow's is what is tested
    Flow,
    JobStore,
    job,
    run_locally,
)
from maggma.stores import MemoryStore

from fire_core.config.theory import LennardJonesTheory
from fire_core.errors import ExtensionError
from fire_core.labelling.codes.lennard_jones import compute
from fire_core.labelling.jobs import LabelMaker
from fire_core.labelling.labeller import labeller_of
from fire_core.labelling.plain import atoms_to_dict, dict_to_label
from fire_core.labelling.program import Resources
from fire_core.testing.labellers import rattled_salt

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings(
    "ignore:cd is deprecated:FutureWarning"  # jobflow 0.4 changes directory with it
)
THEORY = LennardJonesTheory(epsilon=0.02)


@dataclass
class ShiftedMaker(LabelMaker):
    """Labels whose energy is counted from that of a reference."""

    name: str = "shifted"
    shift: float = 1.0

    def compute(self, structure: dict[str, Any]) -> dict[str, Any]:
        label = super().compute(structure)
        return label | {"energy": label["energy"] - self.shift}


@job
def subtract(one: float, two: float) -> float:
    return one - two


def run(flow: Any, folder: Path) -> Any:
    store = JobStore(MemoryStore())
    found = run_locally(
        flow, store=store, raise_immediately=True, root_dir=folder, log=False
    )
    return {uuid: answers[1].output for uuid, answers in found.items()}


def test_a_subclass_goes_into_a_flow_with_the_maker_itself(tmp_path: Path) -> None:
    structure = atoms_to_dict(rattled_salt())
    theory = THEORY.model_dump(mode="json")
    plain = LabelMaker.of(THEORY).make(structure)
    shifted = ShiftedMaker(theory=theory, shift=2.5).make(structure)
    difference = subtract(plain.output["energy"], shifted.output["energy"])
    found = run(Flow([plain, shifted, difference]), tmp_path)
    assert found[difference.uuid] == pytest.approx(2.5)
    label, direct = dict_to_label(found[plain.uuid]), compute(THEORY, rattled_salt())
    assert label.energy == direct.energy
    assert np.array_equal(label.forces, direct.forces)
    assert (plain.name, shifted.name) == ("label-lennard_jones", "shifted")


def test_jobs_travel_as_json_and_can_be_told_otherwise(tmp_path: Path) -> None:
    made = LabelMaker.of(THEORY, Resources(4, tmp_path))
    assert LabelMaker.from_dict(made.as_dict()) == made
    assert (made.cores, made.shelf) == (4, str(tmp_path))
    flow = Flow([ShiftedMaker(theory=made.theory).make(atoms_to_dict(rattled_salt()))])
    before = run(flow, tmp_path)
    flow.update_maker_kwargs({"shift": 3.0}, name_filter="shifted")
    after = run(Flow.from_dict(flow.as_dict()), tmp_path)
    (one,), (two,) = before.values(), after.values()
    assert one["energy"] - two["energy"] == pytest.approx(2.0)


def test_a_kind_that_nobody_labels_is_an_error_and_no_teacher() -> None:
    unknown = THEORY.model_copy(update={"kind": "castep"})
    with pytest.raises(ExtensionError, match="unknown labeller 'castep': expected one"):
        labeller_of(unknown)
