"""SevenNet keeps to its contracts; what is particular to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from fire_core.backbones.registry import load_backbone, package_of, same_family
from fire_core.backbones.sevennet_training import PARTS
from fire_core.config.training import TrainConfig
from fire_core.errors import BackboneError, StructureError, TrainingError
from fire_core.testing.backbones import (
    BackboneContract,
    DynamicsContract,
    FeaturesContract,
    TrainableContract,
)
from tests.models import load_mini, small_sevennet

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.backbones.sevennet import SevennetBackbone


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
    supported = ("scratch", "freeze", "warm_start", "adapt: elements")
    rate = 5e-4  # its weights are of order one, its error is small to begin with

    @pytest.fixture
    def backbone(self, small: SevennetBackbone) -> SevennetBackbone:
        return small


def test_total_energies_keep_their_digits_in_single_precision(atoms: Atoms) -> None:
    """A shift of 10⁴ eV per atom must not cost digits of the energy."""
    single = small_sevennet("float32")
    before = single.predict([atoms])[0].energy
    single.model.shift += 1e4
    after = single.predict([atoms])[0].energy
    assert after == pytest.approx(before + 1e4 * len(atoms), abs=1e-6)


@pytest.mark.parametrize("pbc", [(True, True, False), (False, False, False)])
def test_open_boundaries_have_no_images_and_no_stress(
    small: SevennetBackbone, atoms: Atoms, pbc: tuple[bool, bool, bool]
) -> None:
    """ASE's neighbour list, a second implementation, finds the same pairs."""
    from ase.neighborlist import neighbor_list

    atoms.set_pbc(pbc)
    atoms.positions[3] += [-30.0, 2.0, 40.0]  # far outside the cell
    atoms.positions[2] = atoms.positions[3] + [0.9, 1.1, 1.7]
    before = atoms.copy()
    graph = small.graph(atoms)
    pairs = neighbor_list("ij", atoms, small.cutoff)
    both = np.concatenate([graph.pairs, graph.pairs.flip(0)], axis=1)
    found = sorted(zip(*both.tolist(), strict=True))
    assert found == sorted(zip(*(side.tolist() for side in pairs), strict=True))
    label = small.predict([atoms])[0]
    assert atoms == before
    assert np.isfinite(label.forces).all()
    assert label.stress is not None
    assert not label.stress.any()


def test_a_position_that_is_not_finite_is_refused_at_once(
    small: SevennetBackbone, atoms: Atoms
) -> None:
    atoms.positions[2, 0] = np.nan
    with pytest.raises(StructureError, match="not finite"):
        small.predict([atoms])


def test_atoms_beyond_each_others_cutoff_have_their_references_alone(
    small: SevennetBackbone,
) -> None:
    """What a network without neighbours still adds is the same in each frame."""
    alone = Atoms("Li", cell=np.eye(3) * 20, pbc=True)
    apart = Atoms("Li2", positions=[[0, 0, 0], [9, 0, 0]], cell=np.eye(3) * 20, pbc=1)
    one, two, joint = small.predict([alone, apart, apart])
    assert two.energy == pytest.approx(2 * one.energy, abs=1e-9)
    assert joint.energy == two.energy
    assert not two.forces.any()


def test_references_and_scale_are_not_trained(small: SevennetBackbone) -> None:
    network = small.network(TrainConfig(strategy="naive"), [], seed=1)
    trained = {n for n, p in network.module.named_parameters() if p.requires_grad}
    fixed = set(network.module.state_dict()) - trained
    assert fixed == {
        *("scale", "shift"),
        *(f"layers.{i}.denominator" for i in range(3)),
    }


@pytest.mark.parametrize("part", PARTS)
def test_every_weight_belongs_to_one_part_that_can_be_frozen(
    small: SevennetBackbone, part: str
) -> None:
    config = TrainConfig(strategy="naive", freeze=(part,))
    network = small.network(config, [], seed=1)
    frozen = {n for n, p in network.module.named_parameters() if not p.requires_grad}
    assert frozen
    others = [
        {
            name
            for name, p in small.network(
                TrainConfig(strategy="naive", freeze=(other,)), [], seed=1
            ).module.named_parameters()
            if not p.requires_grad
        }
        for other in PARTS
        if other != part
    ]
    assert not any(frozen & other for other in others)
    together = frozen.union(*others)
    assert together == {n for n, _ in network.module.named_parameters()}


def test_a_model_of_another_architecture_is_not_gone_on_from(
    small: SevennetBackbone,
) -> None:
    config = TrainConfig(strategy="naive", warm_start=True)
    with pytest.raises(TrainingError, match="leave out warm_start"):
        small.network(config, [], seed=1, start=load_mini())


def test_a_written_model_is_loaded_by_its_familys_name(
    small: SevennetBackbone, atoms: Atoms, tmp_path: Path
) -> None:
    path = tmp_path / "tuned.safetensors"
    small.save(path)
    for family in ("sevennet", "sevennet-0"):
        again = load_backbone(f"{family}:{path}", device="cpu", dtype="float64")
        assert again.name == f"{family}:{path}"
        assert again.predict([atoms])[0].energy == small.predict([atoms])[0].energy
    assert package_of(f"sevennet:{path}") == "fire-mlip"
    assert same_family("sevennet-0", path) == f"sevennet-0:{path}"
    with pytest.raises(BackboneError, match="sevennet alone names no model"):
        load_backbone("sevennet", device="cpu")


def test_tensors_of_another_network_are_refused(
    small: SevennetBackbone, tmp_path: Path
) -> None:
    from fire_core.backbones.neutral import pack_neutral
    from fire_core.backbones.sevennet_weights import to_neutral

    model = to_neutral(small.model, {})
    fewer = {k: v for k, v in model.tensors.items() if k != "embedding"}
    path = tmp_path / "broken.safetensors"
    path.write_bytes(pack_neutral(replace(model, tensors=fewer)))
    with pytest.raises(BackboneError, match=r"not those of a network of SevenNet"):
        load_backbone(f"sevennet:{path}", device="cpu")
