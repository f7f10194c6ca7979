"""A model that passes, a way to spoil its network, and a sensible cell."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.assets import load_replay
from fire_core.backbones.mace import MaceBackbone
from tests.models import load_mini

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from fire_core.records import LabelledStructure


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
