"""Contracts fail wrong predictions, features and dynamics, by the check meant for it.

Each backbone here is a sound one with a single fault, of a kind that was made before;
those with faults in training are in `test_contract_catches_training`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.backbones.mace import MaceBackbone
from fire_core.backbones.verlet import KeptPairs
from fire_core.testing.backbones import (
    BackboneContract,
    DynamicsContract,
    FeaturesContract,
)
from tests.backbones.faults import failed, pair
from tests.plugin.src.fire_plugin_example.backbone import PairBackbone
from tests.training.conftest import make_backbone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms

    from fire_core.records import Label


class Predicts(BackboneContract):
    """What the pair potential keeps to."""


class Features(FeaturesContract):
    """What features keep to."""


class Dynamics(DynamicsContract):
    """What dynamics keep to."""


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
    assert failed(Predicts(), pair(), tmp_path) == set()


@pytest.mark.parametrize(
    ("kind", "expected"), PREDICTING.items(), ids=[k.__name__ for k in PREDICTING]
)
def test_wrong_predictions_are_caught(
    kind: type[PairBackbone], expected: set[str], tmp_path: Path
) -> None:
    assert failed(Predicts(), pair(kind), tmp_path, only=expected) == expected


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
    assert failed(Features(), disguised(kind), tmp_path / "b", only={expected})


class OldNeighbours(MaceBackbone):
    """Its dynamics search neighbours once."""

    def batched_model(self, *, stress: bool = False) -> Any:
        class Kept(KeptPairs):
            def _pick(self, kept: Any, state: Any, *, fresh: bool) -> Any:
                return super()._pick(kept, state, fresh=True)

        model = super().batched_model(stress=stress)
        model.pairs = Kept(model.pairs.cutoff, skin=model.pairs.skin)
        return model


class OtherStress(MaceBackbone):
    """Its dynamics give virials in place of stresses."""

    def batched_model(self, *, stress: bool = False) -> Any:
        sound = super().batched_model(stress=stress)

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
    assert failed(Dynamics(), disguised(kind), tmp_path / "b", only={expected})
