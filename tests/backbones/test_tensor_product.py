"""The convolution of NequIP-like layers equals e3nn's, slopes of slopes included."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch

from fire_core.backbones.kernels.tables import Path
from fire_core.backbones.kernels.tensor_product import TensorProductConvolution
from fire_core.backbones.kernels.uvu import convolution_of, is_weighted_by_channel
from fire_core.backbones.mace import import_mace
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDING = {torch.float64: 1e-13, torch.float32: 3e-6}  # relative to the largest

LAYERS = {
    "SevenNet-0, middle": ("128x0e+64x1e+32x2e", "0e+1e+2e", "0e+1e+2e"),
    "SevenNet-0, first": ("128x0e", "0e+1e+2e", "0e+1e+2e"),
    "SevenNet-0, last": ("128x0e+64x1e+32x2e", "0e+1e+2e", "0e"),
    "SevenNet-l3i5, middle": (
        "128x0e+64x1e+32x2e+32x3e",
        "0e+1e+2e+3e",
        "0e+1e+2e+3e",
    ),
    "MACE-MP-0": ("128x0e+128x1o", "0e+1o+2e+3o", "0e+1o+2e+3o"),
    "few channels": ("5x0e+3x1o+2x2e", "0e+1o+2e", "0e+0o+1o+1e+2e+2o"),
    "many channels, none a multiple": ("33x0e+17x1o", "0e+1o", "0e+1o"),
}
SMALL = LAYERS["few channels"]


class Case(NamedTuple):
    """A layer, e3nn's own, and a graph: dense, sparse and lonely atoms."""

    ours: TensorProductConvolution
    theirs: Any
    senders: torch.Tensor
    receivers: torch.Tensor
    n_atoms: int

    def fast(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.ours(*inputs, self.senders, self.receivers, self.n_atoms)

    def plain(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.ours.plain(*inputs, self.senders, self.receivers, self.n_atoms)

    def reference(
        self, x: torch.Tensor, harmonics: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        terms = self.theirs(x[self.senders], harmonics, weights)
        out = x.new_zeros(self.n_atoms, terms.shape[1])
        return out.index_add(0, self.receivers, terms)

    def inputs(self, dtype: torch.dtype) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(1)
        shapes = [
            (self.n_atoms, self.ours.features.size),
            (len(self.senders), self.ours.harmonics.size),
            (len(self.senders), self.ours.weight_numel),
        ]
        return [
            torch.randn(s, generator=generator, dtype=dtype).requires_grad_()
            for s in shapes
        ]


@pytest.fixture(autouse=True)
def _e3nn_builds_in_double_precision() -> Iterator[None]:
    """Its coefficients are of the default type when a layer is made."""
    import_mace()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def instructions(layer: tuple[str, str, str]) -> tuple[Any, Any, Any, list[Any]]:
    """All paths to the given irreps, messages sorted as NequIP has them."""
    from e3nn.o3 import Irreps

    features, harmonics, kept = (Irreps(part) for part in layer)
    found, messages = [], []
    for i, (mul, feature) in enumerate(features):
        for j, (_, harmonic) in enumerate(harmonics):
            for message in feature * harmonic:
                if message in kept:
                    found.append((i, j, len(messages), "uvu", True))
                    messages.append((mul, message))
    messages, places, _ = Irreps(messages).sort()
    found = [(i, j, places[k], mode, train) for i, j, k, mode, train in found]
    return features, harmonics, messages, sorted(found, key=lambda f: f[2])


def make_case(layer: tuple[str, str, str], counts: list[int]) -> Case:
    """A case whose atoms receive so many edges, in no order."""
    from e3nn.o3 import TensorProduct

    made = instructions(layer)
    rng = np.random.default_rng(0)
    receivers = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    senders = rng.integers(0, len(counts), len(receivers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes of e3nn on what torch deprecates
        theirs = TensorProduct(*made, shared_weights=False, internal_weights=False)
    return Case(
        ours=convolution_of(theirs),
        theirs=theirs,
        senders=torch.as_tensor(senders),
        receivers=torch.as_tensor(receivers),
        n_atoms=len(counts),
    )


def all_slopes(
    function: Callable[..., torch.Tensor], inputs: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Messages, their slopes, and the slopes of those, along random directions."""
    out = function(*inputs)
    generator = torch.Generator().manual_seed(2)

    def direction(like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=generator).to(like.dtype)

    above = direction(out).requires_grad_()
    first = torch.autograd.grad(out, inputs, above, create_graph=True)
    second = torch.autograd.grad(
        first, [*inputs, above], [direction(slope) for slope in first]
    )
    return [out.detach(), *(slope.detach() for slope in (*first, *second))]


def differ(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    """Largest difference, each relative to the scale of its kind."""
    assert [o.shape for o in ours] == [t.shape for t in theirs]
    return max(
        float((o.double() - t.double()).abs().max() / t.abs().max())
        for o, t in zip(ours, theirs, strict=True)
        if t.numel()
    )


@pytest.mark.parametrize("name", LAYERS)
def test_messages_and_both_slopes_are_those_of_e3nn(name: str) -> None:
    case = make_case(LAYERS[name], [9, 0, 1, 30, 5, 0, 12])
    inputs = case.inputs(torch.float64)
    theirs = all_slopes(case.reference, inputs)
    assert differ(all_slopes(case.fast, inputs), theirs) < ROUNDING[torch.float64]
    assert differ(all_slopes(case.plain, inputs), theirs) < ROUNDING[torch.float64]


@pytest.mark.parametrize("name", ["SevenNet-0, middle", "few channels"])
def test_single_precision_rounds_and_no_more(name: str) -> None:
    case = make_case(LAYERS[name], [9, 0, 1, 30, 5])
    exact = case.inputs(torch.float64)
    rounded = [t.detach().float().requires_grad_() for t in exact]
    theirs = all_slopes(case.reference, exact)
    for function in (case.fast, case.plain):
        ours = all_slopes(function, rounded)
        assert {o.dtype for o in ours} == {torch.float32}
        assert differ(ours, theirs) < ROUNDING[torch.float32]


def test_slopes_are_those_of_finite_differences() -> None:
    case = make_case(SMALL, [2, 0, 3])
    inputs = case.inputs(torch.float64)
    assert torch.autograd.gradcheck(case.fast, inputs)
    assert torch.autograd.gradgradcheck(case.fast, inputs)
    assert torch.autograd.gradcheck(case.plain, inputs)


@pytest.mark.parametrize("counts", [[0, 0, 0], [0], [4], [1]])
def test_graphs_without_edges_and_of_one_atom(counts: list[int]) -> None:
    case = make_case(SMALL, counts)
    inputs = case.inputs(torch.float64)
    theirs = all_slopes(case.reference, inputs)
    for function in (case.fast, case.plain):
        for ours, expected in zip(all_slopes(function, inputs), theirs, strict=True):
            assert torch.allclose(ours, expected, rtol=1e-12, atol=1e-12)


def test_the_order_of_edges_does_not_matter_beyond_rounding() -> None:
    case = make_case(SMALL, [7, 3, 12])
    inputs = case.inputs(torch.float64)
    order = torch.randperm(
        len(case.senders), generator=torch.Generator().manual_seed(3)
    )
    shuffled = case._replace(
        senders=case.senders[order], receivers=case.receivers[order]
    )
    moved = [inputs[0], inputs[1][order], inputs[2][order]]
    assert torch.allclose(shuffled.fast(*moved), case.fast(*inputs), atol=1e-12)


def test_the_number_of_threads_changes_no_bit() -> None:
    case = make_case(LAYERS["SevenNet-0, middle"], [9, 0, 1, 30, 5, 0, 12] * 5)
    inputs = case.inputs(torch.float32)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(all_slopes(case.fast, inputs))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_inputs_that_are_views_are_read_right() -> None:
    case = make_case(SMALL, [4, 3])
    inputs = case.inputs(torch.float64)
    views = [t.detach().T.contiguous().T.requires_grad_() for t in inputs]
    assert not views[0].is_contiguous()
    assert torch.equal(case.fast(*views), case.fast(*inputs))


def test_receivers_and_senders_may_be_different_atoms() -> None:
    """Ghost atoms send and do not receive."""
    case = make_case(SMALL, [4, 3, 5])
    senders = (case.senders * 2).clamp(max=4)
    x = torch.randn(5, case.ours.features.size, requires_grad=True)
    case = case._replace(senders=senders)
    inputs = [x, *case.inputs(torch.float64)[1:]]
    ours, theirs = all_slopes(case.fast, inputs), all_slopes(case.reference, inputs)
    assert differ(ours, theirs) < ROUNDING[torch.float64]


def test_rotated_inputs_give_rotated_messages() -> None:
    from e3nn.o3 import rand_matrix

    case = make_case(SMALL, [4, 3, 9])
    x, harmonics, weights = case.inputs(torch.float64)
    rotation = -rand_matrix()  # inverted, too
    turned = case.fast(
        x @ case.theirs.irreps_in1.D_from_matrix(rotation).T,
        harmonics @ case.theirs.irreps_in2.D_from_matrix(rotation).T,
        weights,
    )
    expected = (
        case.fast(x, harmonics, weights)
        @ case.theirs.irreps_out.D_from_matrix(rotation).T
    )
    assert torch.allclose(turned, expected, atol=1e-12)


def test_an_edge_to_an_atom_that_is_not_there_is_refused() -> None:
    case = make_case(SMALL, [4, 3])
    inputs = case.inputs(torch.float64)
    for ends in ({"receivers": case.receivers + 1}, {"senders": case.senders - 1}):
        with pytest.raises(BackboneError, match="build the graph again"):
            case._replace(**ends).fast(*inputs)


@pytest.mark.parametrize("name", ["few channels", "SevenNet-0, last"])
def test_edges_both_ways_may_share_their_weights(name: str) -> None:
    case = make_case(LAYERS[name], [9, 0, 1, 5, 3])
    one_way, other = case.senders, case.receivers
    case = case._replace(
        senders=torch.cat([one_way, other]), receivers=torch.cat([other, one_way])
    )
    x, harmonics, weights = case.inputs(torch.float64)
    half = weights[: len(one_way)].detach().requires_grad_()

    def reference(*inputs: torch.Tensor) -> torch.Tensor:
        return case.reference(*inputs[:2], inputs[2].repeat(2, 1))

    theirs = all_slopes(reference, [x, harmonics, half])
    for function in (case.fast, case.plain):
        ours = all_slopes(function, [x, harmonics, half])
        assert differ(ours, theirs) < ROUNDING[torch.float64]


def test_rows_that_do_not_fit_are_refused_before_they_are_read() -> None:
    case = make_case(SMALL, [4, 3])
    x, harmonics, weights = case.inputs(torch.float64)
    for wrong in (
        (x[:, 1:], harmonics, weights),
        (x, harmonics[1:], weights),
        (x, harmonics, weights[1:]),
        (x, harmonics, weights[:, 1:]),
        (x, harmonics.float(), weights),
    ):
        with pytest.raises(BackboneError, match="features, harmonics and weights"):
            case.fast(*wrong)


def test_paths_that_do_not_fit_their_parts_are_refused() -> None:
    path = Path(0, 0, 0, np.ones((1, 3, 3)))
    assert TensorProductConvolution([(4, 0)], [1], [(4, 1)], [path]).weight_numel == 4
    with pytest.raises(BackboneError, match=r"ask for .* and 4"):
        TensorProductConvolution([(4, 0)], [1], [(8, 1)], [path])
    with pytest.raises(BackboneError, match=r"ask for .*1, 5, 3"):
        TensorProductConvolution([(4, 0)], [2], [(4, 1)], [path])


def test_other_kinds_of_products_of_e3nn_stay_as_they_are() -> None:
    from e3nn.o3 import FullyConnectedTensorProduct

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixing = FullyConnectedTensorProduct("4x0e", "1o", "4x1o")
    assert not is_weighted_by_channel(mixing)
    assert is_weighted_by_channel(make_case(SMALL, [1]).theirs)


def test_third_slopes_are_refused_and_not_wrong() -> None:
    case = make_case(SMALL, [4, 3])
    inputs = case.inputs(torch.float64)
    out = case.fast(*inputs)
    first = torch.autograd.grad(out.square().sum(), inputs, create_graph=True)
    total = sum(slope.square().sum() for slope in first)
    second = torch.autograd.grad(total, inputs, create_graph=True)
    with pytest.raises(BackboneError, match="twice, not three"):
        torch.autograd.grad(second[0].square().sum(), inputs)
