"""What holds for every gate.

A test class names its gate and makes a model that it must refuse::

    class TestMine(GateContract):
        gate = "mine"

        def spoilt(self, backbone: Backbone) -> Backbone:
            return Spoilt(backbone, lambda atoms, label: ...)
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from ase.build import bulk, molecule

from fire_core.backbones.assets import load_replay
from fire_core.backbones.calculator import BackboneCalculator
from fire_core.backbones.registry import load_backbone
from fire_core.config.gates import GatesConfig
from fire_core.config.open_sets import GATES
from fire_core.config.steps import EvaluateConfig
from fire_core.errors import StructureError
from fire_core.evaluation.gates.gate import Gate, GateData, Need
from fire_core.evaluation.gates.run import run_gates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone, DrivesDynamics
    from fire_core.records import Label


class Spoilt:
    """A backbone whose labels pass through a function on their way out."""

    def __init__(
        self, backbone: DrivesDynamics, spoil: Callable[[Atoms, Label], Label]
    ) -> None:
        self.backbone = backbone
        self.spoil = spoil
        self.name, self.sha256 = "spoilt", "0" * 64
        self.elements, self.cutoff = backbone.elements, backbone.cutoff

    def calculator(self) -> BackboneCalculator:
        """Return a calculator of what it gives out."""
        return BackboneCalculator(self)

    def predict(
        self, frames: Sequence[Atoms], *, batch_atoms: int | None = None
    ) -> list[Label]:
        """Return the spoilt labels."""
        labels = self.backbone.predict(frames, batch_atoms=batch_atoms)
        return [self.spoil(f, x) for f, x in zip(frames, labels, strict=True)]

    def batched_model(self, *, stress: bool = False) -> Any:
        """Return the model as it is."""
        return self.backbone.batched_model(stress=stress)


def with_energy(change: Callable[[Atoms, float], float]) -> Callable[..., Label]:
    """Return a function that changes the energy of a label."""
    return lambda atoms, label: replace(label, energy=change(atoms, label.energy))


def with_forces(change: Callable[[Any], Any]) -> Callable[..., Label]:
    """Return a function that changes the forces of a label."""
    return lambda _, label: replace(label, forces=change(label.forces))


@cache
def sound_data() -> tuple[Backbone, GateData]:
    """Return a model with test structures whose labels are its own, and a rock salt."""
    backbone = load_backbone("fire-mini", device="cpu", threads=1)
    heldout = load_replay().heldout[:8]
    salt = bulk("LiCl", "rocksalt", a=5.15, cubic=True)
    rng = np.random.default_rng(0)
    frames = [salt.copy() for _ in range(4)]
    for frame in frames:
        frame.positions += rng.normal(0, 0.05, frame.positions.shape)
    test = [
        replace(heldout[0], atoms=frame, label=label)
        for frame, label in zip(frames, backbone.predict(frames), strict=True)
    ]
    return backbone, GateData(test, heldout, backbone, salt, 600.0, 1)


class GateContract:
    """What holds for every gate.

    Attributes
    ----------
    gate
        Its name in `evaluate.gates.required`.
    config
        Limits and lengths, short enough for a test.
    """

    gate: ClassVar[str]
    config: ClassVar[EvaluateConfig] = EvaluateConfig()

    def spoilt(self, backbone: Backbone) -> Backbone:
        """Return a model that the gate must refuse, made of a sound one."""
        raise NotImplementedError

    def test_a_campaign_file_names_it(self) -> None:
        """Its name may be required, and leads to a `Gate`."""
        assert GatesConfig.model_validate({"required": [self.gate]}).required == (
            self.gate,
        )
        assert isinstance(GATES.load(self.gate), Gate)

    def test_a_sound_model_passes(self) -> None:
        """It passes with one result, twice the same, and leaves the system alone."""
        backbone, data = sound_data()
        before = data.start.copy()
        heard: list[str] = []
        (result,), (again,) = (
            run_gates(backbone, data, self.config, gates=[self.gate], say=heard.append)
            for _ in range(2)
        )
        assert result.name == self.gate
        assert result.passed, result.text
        assert result.text
        assert result.unit
        assert again.passed
        assert again.value == pytest.approx(result.value, rel=1e-3, abs=1e-3)
        assert data.start == before
        assert data.start.calc is None
        assert len(heard) == 2

    def test_a_spoilt_model_is_refused(self) -> None:
        """The model that it is there to keep out does not pass."""
        backbone, data = sound_data()
        (result,) = run_gates(
            self.spoilt(backbone), data, self.config, gates=[self.gate]
        )
        assert not result.passed, result.text

    def test_what_it_needs_is_asked_for(self) -> None:
        """What is lacking is told before anything is measured."""
        backbone, data = sound_data()
        lacking = {
            Need.TEST: replace(data, test=()),
            Need.HELD_OUT: replace(data, heldout=()),
            Need.PARENT: replace(data, parent=None),
            Need.PERIODIC: replace(data, start=molecule("LiF")),
        }
        gate: Gate = GATES.load(self.gate)
        for need in gate.needs:
            with pytest.raises(StructureError, match=f"{need}.*{self.gate}"):
                run_gates(backbone, lacking[need], self.config, gates=[self.gate])
