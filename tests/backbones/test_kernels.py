"""The faster twin computes what MACE computes, derivatives and all."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase.build import bulk, molecule

from fire_core.backbones.kernels.accelerate import accelerate
from fire_core.backbones.kernels.blocks import Blocks
from fire_core.backbones.kernels.contraction import PolynomialContraction
from fire_core.backbones.kernels.convolution import BlockConvolution
from fire_core.backbones.kernels.self_interaction import (
    SelfInteraction,
    is_self_interaction,
)
from tests.models import load_mini
from tests.training.conftest import make_backbone, rattled

if TYPE_CHECKING:
    from fire_core.backbones.mace import MaceBackbone

ROUNDING = 1e-12  # double precision, relative


@pytest.fixture(scope="module")
def mini() -> MaceBackbone:
    return load_mini()


def mixed_graphs(backbone: MaceBackbone) -> list[Any]:
    """Dense, sparse and lonely atoms in one batch: blocks of many lengths."""
    metal = bulk("Al", cubic=True)
    metal.rattle(0.1, seed=1)
    salt = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    salt.rattle(0.2, seed=2)
    water = molecule("H2O", vacuum=4.0)
    alone = bulk("Li", "sc", a=9.0)
    return [backbone.graph(a) for a in (metal, salt, water, alone)]


def outputs(model: Any, graphs: list[Any], *, training: bool = False) -> dict[str, Any]:
    from mace.tools.torch_geometric import Batch

    batch = Batch.from_data_list(graphs)
    result = model(
        batch.to_dict(), training=training, compute_force=True, compute_stress=True
    )
    names = ("energy", "forces", "stress", "node_feats")
    return {k: result[k] if training else result[k].detach() for k in names}


def differ(backbone: MaceBackbone, graphs: list[Any]) -> float:
    """Largest difference of the two models' outputs, each relative to its scale."""
    plain, fast = outputs(backbone.model, graphs), outputs(backbone.fast, graphs)
    return max(
        float((value - fast[name]).abs().max() / value.abs().max())
        for name, value in plain.items()
    )


def test_energies_forces_and_stresses_agree(mini: MaceBackbone) -> None:
    # its tables were single precision once, and MACE's own rounding stays in them
    assert differ(mini, mixed_graphs(mini)) < 1e-6


def test_in_double_precision_they_agree_to_the_last_digits() -> None:
    backbone = make_backbone(dtype="float64")
    graphs = [backbone.graph(a) for a in rattled("LiF", 2, 1)]
    assert differ(backbone, graphs) < ROUNDING


def test_forces_are_the_slope_of_the_energy(mini: MaceBackbone) -> None:
    atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    atoms.rattle(0.1, seed=3)
    force = mini.predict([atoms])[0].forces[2, 1]
    step, energies = 1e-4, []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[2, 1] += sign * step
        energies.append(mini.predict([moved])[0].energy)
    assert force == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-6)


def test_the_layers_are_replaced_and_the_original_is_left_alone(
    mini: MaceBackbone,
) -> None:
    kinds = {type(m) for m in mini.fast.modules()}
    ours = {BlockConvolution, PolynomialContraction, SelfInteraction}
    assert ours <= kinds
    assert not ours & {type(m) for m in mini.model.modules()}
    twin = accelerate(mini.model)
    weights = [p.data_ptr() for p in mini.model.parameters()]
    assert [p.data_ptr() for p in twin.parameters()] == weights


def test_third_order_invariants_of_s_v_t_are_five(mini: MaceBackbone) -> None:
    """s³, s v², s t², v·T·v and tr T³; MACE has eleven paths for them."""
    layer = mini.fast.products[0].symmetric_contractions.contractions[0]
    assert layer.ranks == {1: 1, 2: 3, 3: 5}


def test_models_with_vector_features_agree_too() -> None:
    backbone = make_backbone(dtype="float64", hidden="8x0e+8x1o")
    kinds = [type(i.conv_tp).__name__ for i in backbone.fast.interactions]
    assert kinds == ["BlockConvolution", "ChannelConvolution"]
    alone = bulk("Li", "sc", a=9.0)
    graphs = [backbone.graph(a) for a in (*rattled("LiF", 2, 1), alone)]
    assert differ(backbone, graphs) < ROUNDING


@pytest.mark.parametrize("hidden", ["8x0e", "8x0e+8x1o"])
def test_gradients_of_a_force_loss_agree(hidden: str) -> None:
    """Training differentiates forces, which are derivatives already."""
    import torch

    backbone = make_backbone(dtype="float64", hidden=hidden)
    graphs = [backbone.graph(a) for a in rattled("LiF", 2, 1)]
    backbone.model.requires_grad_(True)
    parameters = list(backbone.model.parameters())
    gradients = []
    for model in (backbone.model, backbone.fast):
        result = outputs(model, graphs, training=True)
        loss = result["forces"].square().sum() + result["stress"].square().sum()
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        gradients.append([g for g in found if g is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-11)


def test_an_element_that_is_not_there_takes_no_part_in_the_self_interaction() -> None:
    """The product itself is the second implementation, to its second slopes."""
    import torch
    from e3nn.o3 import FullyConnectedTensorProduct

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes of e3nn on what torch deprecates
        product = FullyConnectedTensorProduct(
            "4x0e+3x1o+2x2e", "7x0e", "3x0e+5x1o+2x3o", internal_weights=True
        ).double()
    assert is_self_interaction(product)
    layer = SelfInteraction(product)
    torch.manual_seed(1)
    kinds = torch.tensor([5, 2, 2, 5, 0])
    elements = torch.nn.functional.one_hot(kinds, 7).double()
    found = []
    for mix in (product, layer):
        x = torch.randn(5, 23, generator=torch.Generator().manual_seed(2)).double()
        x.requires_grad_(True)
        out = mix(x, elements)
        (slope,) = torch.autograd.grad(out.pow(3).sum(), x, create_graph=True)
        (weights,) = torch.autograd.grad(slope.square().sum(), product.weight)
        found.append((out.detach(), slope.detach(), weights))
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=ROUNDING, atol=ROUNDING)
    by_element = found[1][2][: 4 * 7 * 3].reshape(4, 7, 3).abs().sum(dim=(0, 2))
    assert (by_element > 0).tolist() == [k in kinds.tolist() for k in range(7)]


def test_every_edge_has_a_place_of_its_own_beside_those_of_its_atom() -> None:
    import torch

    rng = np.random.default_rng(0)
    counts = rng.integers(0, 60, 50)
    receivers = torch.as_tensor(rng.permutation(np.repeat(np.arange(50), counts)))
    blocks = Blocks(receivers, 50)
    places = blocks.places.numpy()
    assert len(set(places.tolist())) == len(places)
    assert places.max() < blocks.size < 1.6 * len(places) + 4 * 50
    atom_of_place = np.full(blocks.size, -1)
    row = 0
    for start, stop, n in blocks.ranges:
        length = (stop - start) // n
        for block in range(n):
            atom = int(blocks.atom_of_row[row])
            atom_of_place[start + block * length : start + (block + 1) * length] = atom
            row += 1
    assert np.array_equal(atom_of_place[places], receivers.numpy())
