"""Every package's backbone keeps to the contract, on a small network of random weights.

A package lives in an environment of its own: `test_made_environments` makes it and runs
these tests there. In FIRE's environment they are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.base import drives_dynamics, has_features
from fire_core.backbones.environments.folders import is_importable
from fire_core.backbones.environments.packages import PACKAGES
from fire_core.backbones.registry import backbone_interpreter, load_backbone
from fire_core.backbones.trainable import is_trainable, need_trainable
from fire_core.errors import BackboneError
from fire_core.testing.backbones import (
    BackboneContract,
    DynamicsContract,
    FeaturesContract,
    TrainableContract,
)
from fire_core.testing.backbones.frames import turn
from tests.backbones.packaged import networks

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from fire_core.backbones.base import Backbone


@pytest.fixture(scope="module")
def atoms() -> Atoms:
    salt = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    salt.symbols[1] = "F"
    salt.positions += np.random.default_rng(0).normal(0, 0.1, salt.positions.shape)
    return salt


@pytest.fixture(scope="module")
def made() -> dict[str, Backbone]:
    """The backbones of this module so far, each made once."""
    return {}


class Packaged(BackboneContract, DynamicsContract):
    """A family: its package is there, its small network is a file of it."""

    family: ClassVar[str]
    dtype: ClassVar[str] = "float32"
    published: ClassVar[str] = ""
    energy, force, stress = 1e-4, 1e-4, 1e-5
    step, slope = 1e-2, 2e-3

    @pytest.fixture
    def backbone(
        self, made: dict[str, Backbone], tmp_path_factory: pytest.TempPathFactory
    ) -> Backbone:
        if not is_importable(PACKAGES[self.family]):
            pytest.skip(f"{self.family} lives in an environment of its own")
        if self.family not in made:
            folder = tmp_path_factory.mktemp(self.family)
            path = getattr(networks, f"write_{self.family}")(folder)
            made[self.family] = self.load(path)
        return made[self.family]

    def load(self, model: str) -> Backbone:
        name = f"{self.family}:{model}" if model else self.family
        return load_backbone(name, device="cpu", dtype=self.dtype, threads=1)

    def test_it_runs_here_and_its_table_is_right(self, backbone: Backbone) -> None:
        assert backbone_interpreter(self.family) is None
        assert drives_dynamics(backbone)
        assert is_trainable(backbone) == PACKAGES[self.family].trained
        assert has_features(backbone) == PACKAGES[self.family].trained

    def test_what_cannot_be_trained_says_so(self, backbone: Backbone) -> None:
        if not PACKAGES[self.family].trained:
            with pytest.raises(BackboneError, match="cannot be fine-tuned by FIRE;"):
                need_trainable(backbone)

    def test_forces_are_not_all_rounding(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        """The limits of this class would hide anything of a network that is flat."""
        label = backbone.predict([atoms])[0]
        assert np.abs(label.forces).max() > 5 * self.force
        assert label.stress is not None
        assert np.abs(label.stress).max() > 5 * self.stress

    def test_the_weights_name_it(self, backbone: Backbone) -> None:
        path = backbone.name.partition(":")[2]
        assert self.load(path).sha256 == backbone.sha256

    def test_a_file_that_is_no_model_is_named(
        self,
        backbone: Backbone,
        tmp_path: Path,
    ) -> None:
        broken = tmp_path / "orb-v3-conservative-inf-omat.nqx"
        broken.write_bytes(b"no weights")
        with pytest.raises(
            BackboneError, match=r"cannot be read as a (model|checkpoint)"
        ):
            self.load(str(broken))

    def test_weights_that_are_not_there_are_explained(
        self,
        backbone: Backbone,
    ) -> None:
        """No network: every address is one that refuses at once."""
        with pytest.raises(
            BackboneError, match=rf"cannot be fetched.*{self.family}:PATH"
        ):
            self.load(self.published)


class Unconstrained(Packaged):
    """Its energy is made invariant under rotation by training, not by construction."""

    def test_energy_is_invariant_and_forces_and_stress_turn_with_the_crystal(
        self, backbone: Backbone, atoms: Atoms
    ) -> None:
        """Random weights know nothing of rotation: the turned crystal is another one.

        What holds by construction holds of it as well.
        """
        turned, _ = turn(atoms)
        shifted = turned.copy()
        shifted.positions += [0.3, -1.7, 2.2]
        order = np.random.default_rng(1).permutation(len(atoms))
        plain, moved, permuted = backbone.predict([turned, shifted, turned[order]])
        assert moved.energy == pytest.approx(plain.energy, abs=self.energy)
        assert permuted.energy == pytest.approx(plain.energy, abs=self.energy)
        assert np.allclose(plain.forces, moved.forces, atol=self.force)
        assert np.allclose(plain.forces[order], permuted.forces, atol=self.force)


def test_what_is_left_out_of_the_contract_is_in_it() -> None:
    """Else the contract's own test would run, under another name."""
    left_out = [name for name in vars(Unconstrained) if name.startswith("test_")]
    assert left_out
    assert all(hasattr(Packaged, name) for name in left_out)


class TestSevenn(Packaged, FeaturesContract, TrainableContract):
    family = "sevenn"
    published = "7net-omni"
    supported = ("warm_start",)
    rate = 5e-3


class TestMattersim(Packaged):
    family = "mattersim"


class TestOrb(Unconstrained):
    family = "orb"


class TestUpet(Unconstrained):
    family = "upet"
    dtype = "float64"
    step = 1e-3  # its cutoff function is steep beside its random weights


class TestNequix(Packaged):
    family = "nequix"


class TestDeepmd(Packaged):
    """It computes in double precision, and its random weights are small."""

    family = "deepmd"
    published = "DPA-3.2-5M"
    energy, force, stress, slope = 1e-8, 1e-8, 1e-9, 1e-6


class TestMatgl(Packaged):
    family = "matgl"


class TestMatris(Packaged):
    family = "matris"


@pytest.mark.parametrize("family", sorted(PACKAGES))
def test_every_family_has_a_class_here(family: str) -> None:
    kinds = [*Packaged.__subclasses__(), *Unconstrained.__subclasses__()]
    tested = {kind.family for kind in kinds if hasattr(kind, "family")}
    assert family in tested | {"fairchem"}  # no small network of it is known
