"""A model that predicts otherwise once it was saved and loaded is refused."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from ase.build import molecule as molecule_of

from fire_core.config.steps import EvaluateConfig
from fire_core.errors import StructureError
from fire_core.evaluation.gates.gate import GateData
from fire_core.evaluation.gates.reload import gate_reload
from fire_core.evaluation.gates.run import run_gates
from tests.gates.conftest import changed

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.mace import MaceBackbone
    from fire_core.records import LabelledStructure


def test_the_bundled_model_is_the_same_after_loading(
    fire_mini: MaceBackbone, rattled: Atoms
) -> None:
    result = gate_reload(fire_mini, [rattled])
    assert result.passed
    assert result.value == pytest.approx(0, abs=0.01)


def test_a_twin_that_lost_the_weights_is_refused(
    fire_mini: MaceBackbone, rattled: Atoms
) -> None:
    """Predicting with other weights than are saved: the fast twin cut loose."""
    parted = changed(fire_mini, lambda _: None)
    parted.fast = copy.deepcopy(parted.fast)
    parted.fast.scale_shift.scale.mul_(1.01)
    result = gate_reload(parted, [rattled])
    assert not result.passed
    assert result.value is not None
    assert result.value > 1
    assert "differ by up to 15 meV/atom" in result.text


def test_only_the_gates_asked_for_are_run(
    fire_mini: MaceBackbone, heldout: list[LabelledStructure], cell: Atoms
) -> None:
    data = GateData(heldout[:2], heldout[:2], fire_mini, cell, 600.0, 1)
    heard: list[str] = []
    results = run_gates(
        fire_mini,
        data,
        EvaluateConfig(),
        gates=("reload", "shear", "force_error"),
        say=heard.append,
    )
    assert [r.name for r in results] == ["force_error", "shear", "reload"]
    assert len(heard) == 3
    molecule = replace(data, start=molecule_of("LiF"))
    with pytest.raises(StructureError, match=r"periodic.*gates shear.*gates\.required"):
        run_gates(fire_mini, molecule, EvaluateConfig(), gates=("shear",))
