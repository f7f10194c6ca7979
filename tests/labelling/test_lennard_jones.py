"""The rehearsal potential is a potential, and labels as every theory does."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest

from fire_core.config.theory import LennardJonesTheory
from fire_core.labelling.codes.lennard_jones import compute
from fire_core.labelling.run import known_elements, run_label
from fire_core.testing.labellers import LabellerContract, rattled_salt

if TYPE_CHECKING:
    from pathlib import Path

THEORY = LennardJonesTheory()


class TestLennardJones(LabellerContract):
    theory = THEORY
    changes: ClassVar = [{"epsilon": 0.02}, {"sigma": 2.4}, {"cutoff": 5.0}]
    step = strain = 1e-3


def test_it_labels_through_its_maker_exactly(tmp_path: Path) -> None:
    label = run_label(THEORY, rattled_salt(), workdir=tmp_path)
    assert label.energy == compute(THEORY, rattled_salt()).energy
    assert np.abs(label.forces.sum(axis=0)).max() < 1e-12
    assert {"Li", "Pu"} <= known_elements(THEORY)


def test_two_atoms_far_apart_do_not_feel_each_other() -> None:
    atoms = rattled_salt()[:2]
    atoms.set_cell([40.0, 40.0, 40.0])
    atoms.positions[1] = atoms.positions[0] + [15.0, 0.0, 0.0]
    assert compute(THEORY, atoms).energy == pytest.approx(0.0, abs=1e-12)
