"""SevenNet keeps to its contracts; what is particular to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from fire_core.backbones.registry import load_backbone
from fire_core.backbones.sevennet import SevennetBackbone
from fire_core.testing.backbones import (
    BackboneContract,
    DynamicsContract,
    FeaturesContract,
    TrainableContract,
)

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone


def small_sevennet(dtype: str = "float64", seed: int = 3) -> SevennetBackbone:
    """Return a network of SevenNet's class with random weights and few channels."""
    import torch

    from fire_core.backbones.kernels.nequip import Architecture
    from fire_core.backbones.sevennet_weights import new_module

    torch.set_num_threads(1)
    setting = Architecture(
        elements=("Cl", "Li", "Na"),
        cutoff=4.0,
        channels=((8,), (8, 6, 4), (8, 6, 4), (8,)),
        l_edge=2,
        hidden=(16, 16),
        envelope_from=3.5,
    )
    module = new_module(setting, seed=seed)
    module.shift += torch.tensor([-1.5, -2.0, -1.0])
    for layer in module.layers:
        layer.denominator.fill_(6.0)
    return SevennetBackbone(
        module, name="small", sha256="0" * 64, device="cpu", dtype=dtype
    )


@pytest.fixture(scope="module")
def small() -> SevennetBackbone:
    return small_sevennet()


@pytest.fixture
def atoms() -> Atoms:
    salt = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    salt.symbols[0] = "Na"
    salt.positions += np.random.default_rng(0).normal(0, 0.1, salt.positions.shape)
    return salt


class TestSmallSevennet(
    BackboneContract, FeaturesContract, DynamicsContract, TrainableContract
):
    supported = ("scratch", "freeze", "warm_start")

    @pytest.fixture
    def backbone(self, small: SevennetBackbone) -> SevennetBackbone:
        return small
