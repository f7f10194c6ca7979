"""What FIRE asks of every member of an open set holds for these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from ase.build import bulk
from fire_plugin_example.labeller import MorseTheory

from fire_core.backbones.registry import load_backbone
from fire_core.testing.backbones import BackboneContract, TrainableContract
from fire_core.testing.gates import GateContract, Spoilt, with_forces
from fire_core.testing.labellers import LabellerContract
from fire_core.testing.properties import PropertyContract
from fire_core.testing.selectors import SelectorContract

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.base import Backbone


class TestMorse(LabellerContract):
    theory = MorseTheory()
    changes: ClassVar = [{"depth": 0.3}, {"distance": 2.5}]
    step = strain = 1e-3


class TestOutermost(SelectorContract):
    method = "outermost"


class TestNetForce(GateContract):
    gate = "net_force"

    def spoilt(self, backbone: Backbone) -> Backbone:
        return Spoilt(backbone, with_forces(lambda f: f + 0.1))


class TestCohesiveEnergy(PropertyContract):
    kind = "cohesive_energy"

    @classmethod
    def inputs(cls) -> dict[str, Any]:
        atoms = bulk("LiCl", "rocksalt", a=5.1)
        return {"atoms": atoms, "backbone": load_backbone("fire-mini", device="cpu")}


class TestArgon(BackboneContract):
    @pytest.fixture
    def backbone(self) -> Backbone:
        return load_backbone("argon", device="cpu", dtype="float64")

    @pytest.fixture
    def atoms(self) -> Atoms:
        crystal = bulk("Ar", "fcc", a=5.3, cubic=True)
        crystal.rattle(0.1, seed=1)
        return crystal


class TestPair(BackboneContract, TrainableContract):
    supported = ("warm_start",)
    rate = 1e-2

    @pytest.fixture
    def backbone(self) -> Backbone:
        return load_backbone("pair", device="cpu", dtype="float64")

    @pytest.fixture
    def atoms(self) -> Atoms:
        crystal = bulk("LiF", "rocksalt", a=4.6, cubic=True)
        crystal.rattle(0.1, seed=1)
        return crystal
