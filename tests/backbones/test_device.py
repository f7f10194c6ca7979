"""Backbones on an accelerator, of which there is none: `fire_core.testing.device`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ase.build import bulk

from fire_core.testing.device import PATHS, DeviceContract, paths_of_training

if TYPE_CHECKING:
    from ase import Atoms

pytestmark = [pytest.mark.slow]

OWN = ("multihead_replay", "lora", "adapt: elements")
"""Trainings in which tensors of their own are made."""


class TestFireMini(DeviceContract):
    loader = "fire-mini"
    paths = (*PATHS, *paths_of_training("scratch", *OWN))


@pytest.mark.long
class TestRandomMace(DeviceContract):
    """Vector features, whose layers e3nn compiles with constants of their own."""

    loader = "tests.models:random_mace_on"
    paths = (*PATHS, *paths_of_training(*OWN))

    @classmethod
    def crystal(cls) -> Atoms:
        salt = bulk("LiF", "rocksalt", a=4.0, cubic=True)
        salt.rattle(0.1, seed=0)
        return salt


@pytest.mark.long
class TestChgnet(DeviceContract):
    loader = "chgnet"


class TestSevennet(DeviceContract):
    loader = "tests.models:small_sevennet_on"
    paths = (*PATHS, *paths_of_training("scratch", "adapt: elements"))
