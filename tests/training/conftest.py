"""A small random MACE and labels from a Lennard-Jones crystal, made in a second."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones

from fire_core.backbones.mace import MaceBackbone, import_mace
from fire_core.backbones.torch_types import default_dtype
from fire_core.config.training import TrainConfig
from fire_core.records import Label, LabelledStructure
from fire_core.structures.content import structure_key

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.mace_training import MaceNetwork

LI, F, CL = 3, 9, 17


def make_backbone(
    seed: int = 0, dtype: str = "float32", hidden: str = "8x0e"
) -> MaceBackbone:
    """A MACE with 8 channels and random weights for Li, F and Cl."""
    import_mace()  # must come before e3nn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from e3nn import o3
        from mace import modules

        with torch.random.fork_rng(), default_dtype(getattr(torch, dtype)):
            torch.manual_seed(seed)
            block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
            model = modules.ScaleShiftMACE(
                r_max=4.0,
                num_bessel=6,
                num_polynomial_cutoff=5,
                max_ell=2,
                interaction_cls=block,
                interaction_cls_first=block,
                num_interactions=2,
                num_elements=3,
                hidden_irreps=o3.Irreps(hidden),
                MLP_irreps=o3.Irreps("8x0e"),
                gate=torch.nn.functional.silu,
                atomic_energies=np.array([-1.0, -2.0, -3.0]),
                avg_num_neighbors=12.0,
                atomic_numbers=[LI, F, CL],
                correlation=2,
                radial_type="bessel",
                radial_MLP=[16, 16],
                atomic_inter_scale=0.5,
                atomic_inter_shift=0.0,
            )
    return MaceBackbone(
        model, name="tiny", sha256=f"{seed:064x}", device="cpu", dtype=dtype
    )


def make_network(backbone: MaceBackbone) -> MaceNetwork:
    """The network of a training of every weight, before its first step."""
    return backbone.network(TrainConfig(strategy="naive"), [], seed=0)


def rattled(symbols: str, n: int, seed: int) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        atoms = bulk(symbols, "rocksalt", a=4.6, cubic=True)
        atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
        frames.append(atoms)
    return frames


def labelled(
    frames: list[Atoms], *, epsilon: float = 0.15, offset: float = 0.0
) -> list[LabelledStructure]:
    """Lennard-Jones labels, with `offset` eV added to the energy of every atom."""
    items = []
    for atoms in frames:
        work = atoms.copy()
        work.calc = LennardJones(epsilon=epsilon, sigma=2.0, rc=4.0, smooth=True)
        label = Label(
            work.get_potential_energy() + offset * len(work),
            work.get_forces(),
            work.get_stress(),
        )
        items.append(LabelledStructure(structure_key(atoms), atoms, label, "lj"))
    return items


@pytest.fixture
def backbone() -> MaceBackbone:
    return make_backbone()


@pytest.fixture
def double_backbone() -> MaceBackbone:
    return make_backbone(dtype="float64")
