"""The contracts of backbones fail what is wrong, by the check that is meant for it.

Each backbone here is a sound one with a single fault, of a kind that was made before.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.backbones.batched import BatchedMace
from fire_core.backbones.mace import MaceBackbone
from fire_core.errors import FireError
from fire_core.testing.backbones import (
    BackboneContract,
    DynamicsContract,
    FeaturesContract,
    TrainableContract,
)
from tests.plugin.src.fire_plugin_example.backbone import (
    PairBackbone,
    PairNetwork,
    PairPotential,
    read_pair,
)
from tests.training.conftest import make_backbone, rattled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ase import Atoms

    from fire_core.records import Label


class Predicts(BackboneContract):
    """What the pair potential keeps to."""


class Trains(TrainableContract):
    supported = ("warm_start",)
    rate = 1e-2


class Features(FeaturesContract):
    """What features keep to."""


class Dynamics(DynamicsContract):
    """What dynamics keep to."""


def cases(contract: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the checks of a contract, one for each set of its parameters."""
    for name, method in inspect.getmembers(contract, inspect.ismethod):
        if not name.startswith("test_"):
            continue
        marks = [
            m for m in getattr(method, "pytestmark", []) if m.name == "parametrize"
        ]
        if marks:
            argument, values = marks[0].args
            yield from ((name, {argument: value}) for value in values)
        else:
            yield name, {}


def failed(contract: object, backbone: Any, folder: Path) -> set[str]:
    """Return the checks that a backbone does not pass."""
    found = set()
    for number, (name, arguments) in enumerate(cases(contract)):
        check = getattr(contract, name)
        place = folder / str(number)
        place.mkdir(parents=True)
        with pytest.MonkeyPatch.context() as patch:
            have = {
                "backbone": backbone,
                "atoms": rattled("LiF", 1, 2)[0],
                "tmp_path": place,
                "monkeypatch": patch,
            }
            wanted = inspect.signature(check).parameters.keys() & have.keys()
            try:
                check(**{k: have[k] for k in wanted}, **arguments)
            except (AssertionError, FireError, RuntimeError, pytest.fail.Exception):
                found.add(name.removeprefix("test_"))
    return found


def pair(kind: type[PairBackbone] = PairBackbone) -> PairBackbone:
    import torch

    return kind(PairPotential(torch.float64), torch.float64)


class Changed(PairBackbone):
    """A pair potential whose labels are changed."""

    def change(self, label: Label) -> Label:
        return label

    def predict(self, frames: Sequence[Atoms], **how: Any) -> list[Label]:
        return [self.change(label) for label in super().predict(frames, **how)]


class StrongForces(Changed):
    def change(self, label: Label) -> Label:
        return replace(label, forces=1.01 * label.forces)


class OtherSign(Changed):
    def change(self, label: Label) -> Label:
        assert label.stress is not None
        return replace(label, stress=-label.stress)


class OtherOrder(Changed):
    """The order of LAMMPS and of SevenNet: xx yy zz xy yz zx."""

    def change(self, label: Label) -> Label:
        assert label.stress is not None
        return replace(label, stress=label.stress[[0, 1, 2, 5, 3, 4]])


class NetForce(Changed):
    def change(self, label: Label) -> Label:
        return replace(label, forces=label.forces + np.array([0.0, 0.0, 0.01]))


class Leaking(PairBackbone):
    """Frames of one pass feel how many they are."""

    def predict(self, frames: Sequence[Atoms], **how: Any) -> list[Label]:
        labels = super().predict(frames, **how)
        extra = 1e-3 * max(0, len(frames) - 4)
        return [replace(label, energy=label.energy + extra) for label in labels]


class NearestImages(PairBackbone):
    """Each pair of atoms is seen once, at its nearest image."""

    def predict(self, frames: Sequence[Atoms], **how: Any) -> list[Label]:
        return [self._one(frame, how) for frame in frames]

    def _one(self, frame: Atoms, how: dict[str, Any]) -> Label:
        (label,) = super().predict([frame], **how)
        if len(frame) > 1:
            return label
        alone = frame.copy()
        alone.pbc = False
        return super().predict([alone], **how)[0]


class AlwaysPeriodic(PairBackbone):
    def predict(self, frames: Sequence[Atoms], **how: Any) -> list[Label]:
        closed = [frame.copy() for frame in frames]
        for frame in closed:
            frame.pbc = True
        return super().predict(closed, **how)


class Wrapping(PairBackbone):
    """It moves the caller's atoms into the cell."""

    def predict(self, frames: Sequence[Atoms], **how: Any) -> list[Label]:
        for frame in frames:
            frame.wrap()
        return super().predict(frames, **how)


class AnyElement(PairBackbone):
    def predict(self, frames: Sequence[Atoms], **how: Any) -> list[Label]:
        known = [f.copy() for f in frames]
        for frame in known:
            frame.symbols = [s if s in self.elements else "Li" for s in frame.symbols]
        return super().predict(known, **how)


PREDICTING = {
    StrongForces: {
        "forces_are_slopes_of_the_energy",
        "forces_are_slopes_along_all_atoms_at_once",
    },
    OtherSign: {"stress_is_the_slope_along_every_strain"},
    OtherOrder: {"stress_is_the_slope_along_every_strain"},
    NetForce: {"a_shift_of_all_atoms_changes_nothing"},
    Leaking: {"frames_in_a_batch_are_predicted_like_single_ones"},
    NearestImages: {"an_atom_in_a_small_cell_sees_all_its_images"},
    AlwaysPeriodic: {"open_boundaries_are_right_or_refused"},
    Wrapping: {"the_callers_structures_are_left_alone"},
    AnyElement: {"an_unknown_element_is_named_with_its_frame"},
}


def test_a_sound_backbone_passes_everything(tmp_path: Path) -> None:
    assert failed(Predicts(), pair(), tmp_path / "predicts") == set()
    assert failed(Trains(), pair(), tmp_path / "trains") == set()


@pytest.mark.parametrize(
    ("kind", "expected"), PREDICTING.items(), ids=[k.__name__ for k in PREDICTING]
)
def test_wrong_predictions_are_caught(
    kind: type[PairBackbone], expected: set[str], tmp_path: Path
) -> None:
    assert expected <= failed(Predicts(), pair(kind), tmp_path)


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
    assert expected in failed(Trains(), pair(kind), tmp_path)


class PositionsAsFeatures(MaceBackbone):
    def atom_features(self, frames: Sequence[Atoms], **_: Any) -> list[Any]:
        return [np.array(frame.positions) for frame in frames]


class FeaturesOfFrames(MaceBackbone):
    """Every atom gets the mean over the batch mixed in."""

    def atom_features(self, frames: Sequence[Atoms], **how: Any) -> list[Any]:
        rows = super().atom_features(frames, **how)
        mean = np.concatenate(rows).mean(axis=0)
        return [values + 1e-2 * mean for values in rows]


def disguised(kind: type[MaceBackbone]) -> MaceBackbone:
    backbone = make_backbone(dtype="float64")
    backbone.__class__ = kind
    return backbone


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PositionsAsFeatures, "features_are_those_of_atoms_whatever_the_axes"),
        (FeaturesOfFrames, "features_of_a_batch_are_those_of_single_frames"),
    ],
)
def test_wrong_features_are_caught(
    kind: type[MaceBackbone], expected: str, tmp_path: Path
) -> None:
    assert failed(Features(), make_backbone(dtype="float64"), tmp_path / "a") == set()
    assert expected in failed(Features(), disguised(kind), tmp_path / "b")


class OldNeighbours(MaceBackbone):
    """Its dynamics search neighbours once."""

    def torch_sim_model(self, *, stress: bool = False) -> Any:
        class Kept(BatchedMace):
            def _still_holds(self, *_: Any) -> bool:
                return True

        return Kept(
            self.fast, device=self.device, dtype=self.dtype, compute_stress=stress
        )


class OtherStress(MaceBackbone):
    """Its dynamics give virials in place of stresses."""

    def torch_sim_model(self, *, stress: bool = False) -> Any:
        sound = super().torch_sim_model(stress=stress)

        class Virials:
            device, dtype = self.device, self.dtype

            def __call__(self, state: Any) -> Any:
                output = sound(state)
                if "stress" in output:
                    output["stress"] = -output["stress"]
                return output

        return Virials()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (OldNeighbours, "it_follows_replicas_that_move_strain_and_change"),
        (OtherStress, "replicas_in_a_batch_are_predicted_like_single_frames"),
    ],
)
def test_wrong_dynamics_are_caught(
    kind: type[MaceBackbone], expected: str, tmp_path: Path
) -> None:
    assert failed(Dynamics(), make_backbone(dtype="float64"), tmp_path / "a") == set()
    assert expected in failed(Dynamics(), disguised(kind), tmp_path / "b")
