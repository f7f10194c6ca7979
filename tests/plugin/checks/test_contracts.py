"""What FIRE asks of every labeller, selector and gate holds for these."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fire_plugin_example.labeller import MorseTheory

from fire_core.testing.gates import GateContract, Spoilt, with_forces
from fire_core.testing.labellers import LabellerContract
from fire_core.testing.selectors import SelectorContract

if TYPE_CHECKING:
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
