"""A model that passes, wrappers that spoil it, and a sensible cell."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.assets import load_replay
from fire_core.backbones.calculator import BackboneCalculator
from fire_core.backbones.mace import MaceBackbone
from tests.models import load_mini

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms

    from fire_core.records import Label, LabelledStructure


class Spoilt:
    """A backbone whose labels pass through a function on their way out."""

    def __init__(
        self, backbone: MaceBackbone, spoil: Callable[[Atoms, Label], Label]
    ) -> None:
        self.backbone = backbone
        self.spoil = spoil
        self.name, self.sha256 = "spoilt", "0" * 64
        self.elements, self.cutoff = backbone.elements, backbone.cutoff

    def calculator(self) -> BackboneCalculator:
        return BackboneCalculator(self)

    def predict(self, frames: Sequence[Atoms], *, batch_atoms: int = 512) -> list[Any]:
        labels = self.backbone.predict(frames, batch_atoms=batch_atoms)
        return [self.spoil(f, x) for f, x in zip(frames, labels, strict=True)]

    def torch_sim_model(self, *, stress: bool = False) -> Any:
        return self.backbone.torch_sim_model(stress=stress)


def with_energy(change: Callable[[Atoms, float], float]) -> Callable[..., Label]:
    return lambda atoms, label: replace(label, energy=change(atoms, label.energy))


def with_forces(change: Callable[[Any], Any]) -> Callable[..., Label]:
    return lambda _, label: replace(label, forces=change(label.forces))


def changed(backbone: MaceBackbone, change: Callable[[Any], None]) -> MaceBackbone:
    """Return a backbone on a changed copy of the network."""
    import torch

    network = copy.deepcopy(backbone.model)
    with torch.no_grad():
        change(network)
    return MaceBackbone(
        network, name="changed", sha256="1" * 64, device="cpu", dtype="float32"
    )


@pytest.fixture(scope="session")
def fire_mini() -> MaceBackbone:
    return load_mini("float32")


@pytest.fixture(scope="session")
def heldout() -> list[LabelledStructure]:
    return load_replay().heldout[:8]


@pytest.fixture
def cell() -> Atoms:
    """Rock salt LiCl near the model's own lattice constant."""
    return bulk("LiCl", "rocksalt", a=5.15, cubic=True)


@pytest.fixture
def rattled(cell: Atoms) -> Atoms:
    cell.positions += np.random.default_rng(0).normal(0, 0.05, cell.positions.shape)
    return cell
