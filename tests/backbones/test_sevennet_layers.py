"""SevenNet's layers beside e3nn's, which SevenNet was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch  # noqa: TID253 - layers are compared

from fire_core.backbones.kernels.convolution_paths import (
    PathConvolution,
    convolution_paths,
)
from fire_core.backbones.kernels.harmonics import bessel, harmonics, polynomial, xplor
from fire_core.backbones.kernels.nequip import SILU_NORM, Mixing, flatten, unflatten
from fire_core.backbones.mace import import_mace
from fire_core.backbones.sevennet_weights import couplings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore:The TorchScript type system")

CHANNELS = (5, 4, 3)
IRREPS = "5x0e+4x1e+3x2e"
ROUNDING = 1e-12


@pytest.fixture(scope="module")
def e3nn() -> Any:
    import_mace()
    import e3nn.o3

    return e3nn


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(torch.allclose(a, b, rtol=0, atol=ROUNDING))


def test_harmonics_are_those_of_e3nn(e3nn: Any) -> None:
    vectors = torch.randn(50, 3)
    expected = e3nn.o3.spherical_harmonics(
        [0, 1, 2, 3], vectors, normalize=True, normalization="component"
    )
    assert close(harmonics(vectors, vectors.norm(dim=1), 3), expected)


def test_the_convolution_is_e3nns_tensor_product_summed_over_edges(e3nn: Any) -> None:
    paths = convolution_paths(CHANNELS, 2, 2)
    ours = PathConvolution(CHANNELS, 2, paths, couplings([p.degrees for p in paths]))
    messages = "+".join(f"{CHANNELS[p.l_in]}x{p.l_out}e" for p in paths)
    theirs = e3nn.o3.TensorProduct(
        IRREPS,
        "1x0e+1x1e+1x2e",
        messages,
        [(p.l_in, p.l_edge, i, "uvu", True) for i, p in enumerate(paths)],
        shared_weights=False,
        internal_weights=False,
    )
    assert ours.weight_numel == theirs.weight_numel
    n_atoms, n_edges = 4, 30
    x, y = torch.randn(n_atoms, 5 + 12 + 15), torch.randn(n_edges, 9)
    weights = torch.randn(n_edges, ours.weight_numel)
    senders, receivers = torch.randint(0, n_atoms, (2, n_edges))
    expected = torch.zeros(n_atoms, theirs.irreps_out.dim).index_add(
        0, receivers, theirs(x[senders], y, weights)
    )
    assert close(ours(x, y, weights, senders, receivers, n_atoms), expected)


def test_mixing_is_e3nns_linear_map(e3nn: Any) -> None:
    ours = Mixing(CHANNELS, (6, 2, 7))
    theirs = e3nn.o3.Linear(IRREPS, "6x0e+2x1e+7x2e")
    parts = [getattr(ours, f"weight_{degree}").flatten() for degree in range(3)]
    theirs.weight.data.copy_(torch.cat(parts))
    x = torch.randn(3, 5 + 12 + 15)
    assert close(flatten(ours(unflatten(x, CHANNELS))), theirs(x))
    assert close(flatten(unflatten(x, CHANNELS)), x)


def test_one_level_of_theory_of_several_is_a_constant_input(e3nn: Any) -> None:
    ours = Mixing(CHANNELS, (6, 2, 7), n_modes=2)
    theirs = e3nn.o3.Linear(f"{IRREPS}+2x0e", "6x0e+2x1e+7x2e")
    parts = [getattr(ours, f"weight_{degree}").flatten() for degree in range(3)]
    theirs.weight.data.copy_(torch.cat([*parts, torch.randn(6), ours.mode]))
    x = torch.randn(3, 5 + 12 + 15)
    second = torch.tensor([0.0, 1.0]).expand(3, 2)
    expected = theirs(torch.cat([x, second], dim=1))
    assert close(flatten(ours(unflatten(x, CHANNELS))), expected)


def test_silu_has_e3nns_factor(e3nn: Any) -> None:
    factor = e3nn.math.normalize2mom(torch.nn.functional.silu).cst
    assert pytest.approx(factor, abs=1e-12) == SILU_NORM
    z, weights = np.polynomial.hermite_e.hermegauss(60)
    squares = (z / (1 + np.exp(-z))) ** 2
    mean = float(weights @ squares) / np.sqrt(2 * np.pi)
    assert mean**-0.5 == pytest.approx(SILU_NORM, rel=2e-3)


@pytest.mark.parametrize(
    "envelope", [lambda r: xplor(r, 4.5, 5.0), lambda r: polynomial(r, 6, 5.0)]
)
def test_envelopes_end_smoothly_at_the_cutoff(envelope: Any) -> None:
    r = torch.tensor([1e-6, 4.5, 4.75, 5.0], requires_grad=True)
    values = envelope(r)
    (slopes,) = torch.autograd.grad(values.sum(), r)
    assert values[0].item() == pytest.approx(1.0)
    assert 0 < values[2].item() < 1
    assert values[3].item() == pytest.approx(0.0, abs=1e-12)
    assert slopes[3].item() == pytest.approx(0.0, abs=1e-9)
    assert xplor(r, 4.5, 5.0)[1].item() == 1.0


def test_radial_functions_vanish_at_the_cutoff_and_have_their_nodes() -> None:
    numbers = torch.arange(1, 5) * np.pi / 5.0
    values = bessel(torch.tensor([2.5, 5.0]), numbers, 5.0)
    assert np.allclose(values[1], 0)
    assert np.allclose(values[0], 0.4 * np.array([1, 0, -1, 0]) / 2.5)
