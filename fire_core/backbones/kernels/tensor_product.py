"""Tensor-product convolutions of NequIP-like networks, summed over neighbours at once.

The message to atom i is Σ_j w_ji (x_j ⊗ Y_ji): features of the sender, spherical
harmonics of the edge, one weight for each path and channel (Batzner et al.,
arXiv:2101.03164, eq. 4). e3nn writes every term of it to memory, edges × channels ×
components, some 3,000 numbers an edge in SevenNet-0, and so do all slopes of it. On
the CPU the compiled sums of `trilinear` keep an atom's terms in cache; elsewhere
batched matrix products over blocks of neighbours multiply and add at once.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch

from fire_core.backbones.kernels import trilinear
from fire_core.backbones.kernels.blocks import Blocks, Gather, Reorder, Spread
from fire_core.backbones.kernels.channels import HIGHEST_DEGREE
from fire_core.backbones.kernels.tables import Path, Tables, make_tables
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TYPES: Final = {torch.float32: np.float32, torch.float64: np.float64}


class TensorProductConvolution(torch.nn.Module):
    """Messages of weighted tensor products, added up at their receivers.

    Equal to e3nn's `TensorProduct` of "uvu" instructions with weights, given for each
    edge, and the sum of its rows by receiver. Twice differentiable. mace is imported
    before (`import_mace`), since e3nn is.

    Parameters
    ----------
    irreps_in
        Irreps of the atoms' features, e3nn's or their text.
    irreps_sh
        Irreps of the harmonics, of multiplicity one.
    irreps_out
        Irreps of the messages.
    instructions
        (feature, harmonic, message, …) as e3nn takes them, or `Path`s with factors of
        their own. Without, factors are e3nn's: variance of one for each component.
    """

    def __init__(
        self,
        irreps_in: Any,
        irreps_sh: Any,
        irreps_out: Any,
        instructions: Sequence[tuple[Any, ...]],
    ) -> None:
        super().__init__()
        from e3nn.o3 import Irreps

        self.irreps_in, self.irreps_sh = Irreps(irreps_in), Irreps(irreps_sh)
        self.irreps_out = Irreps(irreps_out)
        self.paths = _paths(instructions, self.irreps_out)
        self._check()
        self.weight_numel = sum(self.irreps_in[p.feature].mul for p in self.paths)
        self.coefficients = [self._coefficients(path) for path in self.paths]
        degrees = [ir.l for irreps in self._all_irreps() for _, ir in irreps]
        self.compiled = max(degrees, default=0) <= HIGHEST_DEGREE
        self.tables: dict[torch.dtype, Tables] = {}
        self.copies: dict[tuple[Any, ...], torch.Tensor] = {}

    def forward(  # noqa: PLR0913, PLR0917
        self,
        x: torch.Tensor,
        edge_harmonics: torch.Tensor,
        weights: torch.Tensor,
        senders: torch.Tensor,
        receivers: torch.Tensor,
        n_nodes: int,
    ) -> torch.Tensor:
        """Return the messages, (n_nodes, irreps_out.dim).

        Parameters
        ----------
        x
            (n_senders, irreps_in.dim), features.
        edge_harmonics
            (n_edges, irreps_sh.dim).
        weights
            (n_edges, weight_numel), of each path its channels.
        senders, receivers
            (n_edges,), rows of `x` and of the messages.
        n_nodes
            Number of receivers.
        """
        if self.compiled and x.device.type == "cpu" and x.dtype in TYPES:
            graph = _sort(senders, receivers, len(x), n_nodes)
            tables = self._tables(x.dtype)
            return _Messages.apply(x, edge_harmonics, weights, tables, graph)
        return self.plain(x, edge_harmonics, weights, senders, receivers, n_nodes)

    def plain(  # noqa: PLR0913, PLR0917
        self,
        x: torch.Tensor,
        edge_harmonics: torch.Tensor,
        weights: torch.Tensor,
        senders: torch.Tensor,
        receivers: torch.Tensor,
        n_nodes: int,
    ) -> torch.Tensor:
        """Return the same as `forward` by torch's operations, on any device.

        Neighbours are summed first, Σ_e w_e x_m1 Y_m2 by a product of blocks; the
        coefficients follow, once for each atom.
        """
        blocks = Blocks(receivers, n_nodes)
        lengths = [stop - start for start, stop, _ in blocks.ranges]
        features = Gather.apply(x, senders).split(_widths(self.irreps_in), dim=1)
        spread = Spread.apply(edge_harmonics, blocks.places, blocks.size)
        harmonics = spread.split(_widths(self.irreps_sh), dim=1)
        shares = weights.split([self.irreps_in[p.feature].mul for p in self.paths], 1)
        sums: list[torch.Tensor | None] = [None] * len(self.irreps_out)
        for k, (path, share) in enumerate(zip(self.paths, shares, strict=True)):
            mul, irrep = self.irreps_in[path.feature]
            left = features[path.feature].reshape(len(share), mul, irrep.dim)
            left = Spread.apply(
                (share[:, :, None] * left).flatten(1), blocks.places, blocks.size
            )
            parts = [
                torch.bmm(
                    rows.unflatten(0, (n, -1)).transpose(1, 2),
                    columns.unflatten(0, (n, -1)),
                )
                for rows, columns, (_, _, n) in zip(
                    left.split(lengths),
                    harmonics[path.harmonic].split(lengths),
                    blocks.ranges,
                    strict=True,
                )
            ]
            joined = Reorder.apply(
                torch.cat(parts), blocks.row_of_atom, blocks.atom_of_row
            )
            coefficients = self._on(k, x)
            flat = coefficients.flatten(0, 1)
            product = joined.reshape(n_nodes, mul, len(flat)) @ flat
            old = sums[path.message]
            sums[path.message] = product if old is None else old + product
        return torch.cat(
            [
                x.new_zeros(n_nodes, width) if part is None else part.flatten(1)
                for part, width in zip(sums, _widths(self.irreps_out), strict=True)
            ],
            dim=1,
        )

    def _on(self, path: int, like: torch.Tensor) -> torch.Tensor:
        """Return a path's coefficients on a device, in a type."""
        key = (path, like.device, like.dtype)
        if key not in self.copies:
            self.copies[key] = torch.as_tensor(self.coefficients[path]).to(like)
        return self.copies[key]

    def _coefficients(self, path: Path) -> NDArray[np.float64]:
        """Return factor × C, (2 l1 + 1, 2 l2 + 1, 2 l3 + 1)."""
        from e3nn.o3 import wigner_3j

        degrees = [irreps[k].ir.l for irreps, k in zip(self._all_irreps(), path[:3])]
        tensor = wigner_3j(*degrees, dtype=torch.float64)
        return path.factor * tensor.numpy()

    def _all_irreps(self) -> tuple[Any, Any, Any]:
        return self.irreps_in, self.irreps_sh, self.irreps_out

    def _check(self) -> None:
        for path in self.paths:
            feature = self.irreps_in[path.feature]
            harmonic, message = (
                self.irreps_sh[path.harmonic],
                self.irreps_out[path.message],
            )
            if (
                harmonic.mul != 1
                or message.mul != feature.mul
                or message.ir not in feature.ir * harmonic.ir
            ):
                msg = (
                    f"the path {feature} × {harmonic} → {message} is none that this "
                    "layer computes: harmonics have multiplicity 1, messages that of "
                    "the features and an irrep of the product; use e3nn's TensorProduct"
                )
                raise BackboneError(msg)

    def _tables(self, dtype: torch.dtype) -> Tables:
        if dtype not in self.tables:
            self.tables[dtype] = make_tables(
                self._all_irreps(), self.paths, self.coefficients, TYPES[dtype]
            )
        return self.tables[dtype]


def _paths(instructions: Sequence[tuple[Any, ...]], irreps_out: Any) -> list[Path]:
    if all(isinstance(i, Path) for i in instructions):
        return [Path(*i) for i in instructions]
    count = Counter(i[2] for i in instructions)
    return [
        Path(i[0], i[1], i[2], math.sqrt(irreps_out[i[2]].ir.dim / count[i[2]]))
        for i in instructions
    ]


def _widths(irreps: Any) -> list[int]:
    return [mul * ir.dim for mul, ir in irreps]


class _Graph(NamedTuple):
    by_receiver: trilinear.Edges
    by_sender: trilinear.Edges


def _sort(
    senders: torch.Tensor, receivers: torch.Tensor, n_senders: int, n_receivers: int
) -> _Graph:
    """Return the edges by either end.

    Raises
    ------
    BackboneError
        An edge has an end that is no atom.
    """
    first = np.ascontiguousarray(senders.numpy(), np.int64)
    second = np.ascontiguousarray(receivers.numpy(), np.int64)
    for ends, count in ((first, n_senders), (second, n_receivers)):
        if len(ends) and not (0 <= ends.min() and ends.max() < count):
            msg = (
                f"edges lead from or to atoms {ends.min()} … {ends.max()}, but there "
                f"are {count}; build the graph again from its frame"
            )
            raise BackboneError(msg)
    return _Graph(
        trilinear.Edges(*trilinear.sort_edges(second, n_receivers), first),
        trilinear.Edges(*trilinear.sort_edges(first, n_senders), second),
    )


def _arrays(*tensors: torch.Tensor) -> tuple[NDArray[Any], ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


class _Messages(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917
        ctx: Any,
        x: torch.Tensor,
        harmonics: torch.Tensor,
        weights: torch.Tensor,
        tables: Tables,
        graph: _Graph,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, harmonics, weights)
        ctx.tables, ctx.graph = tables, graph
        out = trilinear.messages(
            tables, graph.by_receiver, _arrays(x, harmonics, weights), _threads()
        )
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        slopes = _Gradients.apply(*ctx.saved_tensors, grads[0], ctx.tables, ctx.graph)
        return *slopes, None, None


class _Gradients(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917
        ctx: Any,
        x: torch.Tensor,
        harmonics: torch.Tensor,
        weights: torch.Tensor,
        above: torch.Tensor,
        tables: Tables,
        graph: _Graph,
    ) -> tuple[torch.Tensor, ...]:
        ctx.save_for_backward(x, harmonics, weights, above)
        ctx.tables, ctx.graph = tables, graph
        inputs = _arrays(x, harmonics, weights, above)
        slopes = trilinear.gradients(tables, graph.by_sender, inputs, _threads())
        return tuple(torch.from_numpy(slope) for slope in slopes)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        saved, tables, graph = ctx.saved_tensors, ctx.tables, ctx.graph
        slopes = _SecondGradients.apply(*saved, *grads, tables, graph)
        return *slopes, None, None


class _SecondGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[torch.Tensor, ...]:  # noqa: ARG004
        *tensors, tables, graph = args
        inputs, threads = _arrays(*tensors), _threads()
        slopes = trilinear.second_gradients(tables, graph.by_sender, inputs, threads)
        above = trilinear.second_messages(
            tables, graph.by_receiver, (*inputs[:3], *inputs[4:]), threads
        )
        return tuple(torch.from_numpy(slope) for slope in (*slopes, above))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:  # noqa: ARG004
        msg = (
            "slopes of the compiled tensor product can be taken twice, not three "
            "times; call its `plain` instead"
        )
        raise BackboneError(msg)


def _threads() -> int:
    return int(torch.get_num_threads())
