"""Every gate keeps the contract: sound models pass it, spoilt ones do not."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.config.gates import ElasticConfig, GatesConfig, SurvivalConfig
from fire_core.config.open_sets import GATES
from fire_core.config.steps import EvaluateConfig, StabilityConfig
from fire_core.errors import ExtensionError
from fire_core.evaluation.gates.gate import Gate
from fire_core.evaluation.gates.run import run_gates, sort_results
from fire_core.records import GateResult
from fire_core.testing.gates import (
    GateContract,
    Spoilt,
    sound_data,
    with_energy,
    with_forces,
)
from tests.gates.conftest import changed

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone

SHORT = EvaluateConfig(
    stability=StabilityConfig(steps=40),
    gates=GatesConfig(
        survival=SurvivalConfig(steps=20, timestep=2.0),
        elastic=ElasticConfig(relax_steps=0),
    ),
)
TURN = np.array([[0.94, -0.34, 0], [0.34, 0.94, 0], [0, 0, 1]])


class TestEnergyError(GateContract):
    gate = "energy_error"

    def spoilt(self, backbone: Backbone) -> Backbone:
        return Spoilt(backbone, with_energy(lambda a, e: e + 0.05 * len(a)))


class TestForceError(GateContract):
    gate = "force_error"

    def spoilt(self, backbone: Backbone) -> Backbone:
        return Spoilt(backbone, with_forces(lambda f: f - 0.15))


class TestForgetting(GateContract):
    gate = "forgetting"

    def spoilt(self, backbone: Backbone) -> Backbone:
        return Spoilt(backbone, with_forces(lambda f: 2 * f))


class TestDrift(GateContract):
    gate, config = "nve_drift", SHORT

    def spoilt(self, backbone: Backbone) -> Backbone:
        return Spoilt(backbone, with_forces(lambda f: f @ TURN))


class TestHeating(GateContract):
    gate, config = "heating", SHORT

    def spoilt(self, backbone: Backbone) -> Backbone:
        return changed(backbone, lambda n: n.scale_shift.scale.mul_(-1))


class TestCompression(GateContract):
    gate, config = "compression", SHORT

    def spoilt(self, backbone: Backbone) -> Backbone:
        return changed(backbone, lambda n: n.scale_shift.scale.mul_(-5))


class TestDimers(GateContract):
    gate = "dimers"

    def spoilt(self, backbone: Backbone) -> Backbone:
        return Spoilt(backbone, with_forces(lambda f: -f))


class TestBulkModulus(GateContract):
    gate, config = "bulk_modulus", SHORT

    def spoilt(self, backbone: Backbone) -> Backbone:
        return Spoilt(backbone, with_energy(lambda _, e: -e))


class TestShear(TestBulkModulus):
    gate = "shear"


class TestReload(GateContract):
    gate = "reload"

    def spoilt(self, backbone: Backbone) -> Backbone:
        parted = changed(backbone, lambda _: None)
        parted.fast = copy.deepcopy(parted.fast)
        parted.fast.scale_shift.scale.mul_(1.01)
        return parted


def test_every_gate_has_a_test_here() -> None:
    tested = {
        value.gate
        for value in globals().values()
        if isinstance(value, type) and issubclass(value, GateContract)
        if value is not GateContract
    }
    assert tested == set(GATES.builtin)


def test_gates_of_one_measurement_are_measured_once() -> None:
    backbone, data = sound_data()
    heard: list[str] = []
    names = ["force_error", "energy_error"]
    results = run_gates(backbone, data, EvaluateConfig(), gates=names, say=heard.append)
    assert [result.name for result in results] == ["energy_error", "force_error"]
    assert len(heard) == 1


def test_a_gate_that_is_not_there_or_answers_for_another_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone, data = sound_data()
    with pytest.raises(ExtensionError, match="unknown gate 'toughness': expected one"):
        run_gates(backbone, data, EvaluateConfig(), gates=["toughness"])

    def measure(*_: Any) -> list[GateResult]:
        return [GateResult("other", True, 1.0, 2.0, "eV", "1 eV, ≤ 2")]

    gate = Gate(measure=measure, words=lambda *_: "it")
    monkeypatch.setattr("fire_core.evaluation.gates.reload.RELOAD", gate)
    with pytest.raises(ExtensionError, match="a result of the gates reload, got none"):
        run_gates(backbone, data, EvaluateConfig(), gates=["reload"])


def test_results_of_gates_that_are_gone_come_last() -> None:
    names = ["uninstalled", "reload", "energy_error"]
    results = [GateResult(name, True, 1.0, 2.0, "eV", "1 eV") for name in names]
    ordered = [result.name for result in sort_results(results)]
    assert ordered == ["energy_error", "reload", "uninstalled"]
