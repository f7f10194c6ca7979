"""The contract of `Trainable` fails what is wrong, by the check that is meant for it.

Each backbone here is a sound one with a single fault, of a kind that was made before.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fire_core.testing.backbones import TrainableContract
from tests.backbones.faults import failed, pair
from tests.plugin.src.fire_plugin_example.backbone import (
    PairBackbone,
    PairNetwork,
    read_pair,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Trains(TrainableContract):
    supported = ("warm_start",)
    rate = 1e-2


class Trained(PairBackbone):
    """A pair potential with another network."""

    kind: type[PairNetwork] = PairNetwork

    def network(self, *given: Any, **how: Any) -> PairNetwork:
        sound = super().network(*given, **how)
        return self.kind(sound.module, sound.dtype)

    def reload(self, path: Path) -> PairBackbone:
        return type(self)(read_pair(path, self.dtype).module, self.dtype)


class ForgetsShift(Trained):
    class kind(PairNetwork):  # noqa: N801
        def export(self, weights: Sequence[Any], shift: Any) -> bytes:
            return super().export(weights, {})


class ShiftsOneElement(Trained):
    """It takes the first element's shift for every atom."""

    class kind(PairNetwork):  # noqa: N801
        def export(self, weights: Sequence[Any], shift: Any) -> bytes:
            first = next(iter(shift.values()), 0.0)
            return super().export(weights, dict.fromkeys(("Li", "F"), first))


class ForgetsWeights(Trained):
    class kind(PairNetwork):  # noqa: N801
        def export(self, weights: Sequence[Any], shift: Any) -> bytes:
            kept = [p.detach() for p in self.module.parameters()]
            return super().export(kept, shift)


class ReloadsItself(Trained):
    def reload(self, path: Path) -> PairBackbone:
        return type(self)(self.module, self.dtype)


class SwapsWeights(Trained):
    """The neutral file names two tensors wrongly."""

    def neutral(self) -> Any:
        told = super().neutral()
        tensors = dict(told.tensors)
        tensors["depth"] = 0.5 * tensors["depth"]
        return replace(told, tensors=tensors)


class DetachedForces(Trained):
    """Forces do not depend on the weights, as torch sees it."""

    class kind(PairNetwork):  # noqa: N801
        def forward(self, graphs: Sequence[Any], *, stress: bool) -> Any:
            told = super().forward(graphs, stress=stress)
            return replace(told, forces=told.forces.detach())


class HalfDetached(Trained):
    """One of two parameters is left out of the second derivative of stresses."""

    class kind(PairNetwork):  # noqa: N801
        def forward(self, graphs: Sequence[Any], *, stress: bool) -> Any:
            told = super().forward(graphs, stress=stress)
            if told.stress is None:
                return told
            fixed = copy.copy(self)
            fixed.module = copy.deepcopy(self.module)
            fixed.module.depth.data = self.module.depth.data
            fixed.module.depth.requires_grad_(requires_grad=False)
            fixed.module.radius = self.module.radius
            return replace(
                told, stress=PairNetwork.forward(fixed, graphs, stress=True).stress
            )


class LeakingNetwork(Trained):
    """In a batch of training the last frame gets the energy of the one before."""

    class kind(PairNetwork):  # noqa: N801
        def forward(self, graphs: Sequence[Any], *, stress: bool) -> Any:
            told = super().forward(graphs, stress=stress)
            if len(graphs) < 2:
                return told
            energy = told.energy + 1e-2 * told.energy.roll(1)
            return replace(told, energy=energy)


class MovesReferences(Trained):
    """Reference energies drift while it is trained."""

    class kind(PairNetwork):  # noqa: N801
        def forward(self, graphs: Sequence[Any], *, stress: bool) -> Any:
            self.module.references += 1e-6
            return super().forward(graphs, stress=stress)


class Remembers(Trained):
    """What it predicts depends on a count that no checkpoint holds."""

    class kind(PairNetwork):  # noqa: N801
        calls = 0

        def forward(self, graphs: Sequence[Any], *, stress: bool) -> Any:
            self.calls += 1
            told = super().forward(graphs, stress=stress)
            return replace(told, forces=told.forces * (1 + 1e-3 * self.calls))


class Climbs(Trained):
    """Its forces have the wrong sign in training, so that each step is uphill."""

    class kind(PairNetwork):  # noqa: N801
        def forward(self, graphs: Sequence[Any], *, stress: bool) -> Any:
            told = super().forward(graphs, stress=stress)
            fixed = told.forces.detach()
            energy, unmoved = told.energy, told.energy.detach()
            return replace(
                told, forces=2 * fixed - told.forces, energy=2 * unmoved - energy
            )


class ForgetsType(Trained):
    """The network is in single precision, whatever was asked for."""

    def network(self, *given: Any, **how: Any) -> PairNetwork:
        import torch

        sound = super().network(*given, **how)
        sound.module.depth.data = sound.module.depth.data.float()
        sound.module.radius.data = sound.module.radius.data.float()
        return PairNetwork(sound.module, torch.float32)


class TrainsInPlace(Trained):
    """The network shares its weights with the foundation model."""

    def network(self, *given: Any, **how: Any) -> PairNetwork:
        super().network(*given, **how)  # refuses what it cannot do
        return PairNetwork(self.module, self.dtype)


TRAINING = {
    ForgetsShift: "a_reference_shift_moves_energies_by_that_and_forces_not_at_all",
    ShiftsOneElement: "a_reference_shift_moves_energies_by_that_and_forces_not_at_all",
    ForgetsWeights: "exported_saved_or_neutral_it_keeps_the_weights_that_it_has",
    ReloadsItself: "exported_saved_or_neutral_it_keeps_the_weights_that_it_has",
    SwapsWeights: "exported_saved_or_neutral_it_keeps_the_weights_that_it_has",
    DetachedForces: "gradients_by_the_weights_are_finite_differences",
    HalfDetached: "gradients_by_the_weights_are_finite_differences",
    LeakingNetwork: "before_training_the_network_is_the_model",
    MovesReferences: "what_is_not_trained_stays_to_the_last_bit",
    Remembers: "fine_tuned_its_error_falls_and_it_resumes_bit_for_bit",
    Climbs: "one_step_lowers_the_loss",
    ForgetsType: "network_and_predictions_follow_device_and_type_and_leave_torch_alone",
    TrainsInPlace: "fine_tuned_its_error_falls_and_it_resumes_bit_for_bit",
}


@pytest.mark.parametrize(
    ("kind", "expected"), TRAINING.items(), ids=[k.__name__ for k in TRAINING]
)
def test_wrong_training_is_caught(
    kind: type[PairBackbone], expected: str, tmp_path: Path
) -> None:
    assert failed(Trains(), pair(kind), tmp_path, only={expected})


def test_a_sound_network_passes_everything(tmp_path: Path) -> None:
    assert failed(Trains(), pair(), tmp_path) == set()
