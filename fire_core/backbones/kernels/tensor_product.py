"""Tensor-product convolutions of NequIP-like networks, summed over neighbours at once.

The message to atom i is Σ_j w_ji (x_j ⊗ Y_ji): features of the sender, spherical
harmonics of the edge, one weight for each path and channel (Batzner et al.,
arXiv:2101.03164, eq. 4). e3nn writes every term of it to memory, edges × channels ×
components, some 3,000 numbers an edge in SevenNet-0, and so do all slopes of it. On
the CPU the compiled sums of `trilinear` keep an atom's terms in cache; elsewhere
batched matrix products over blocks of neighbours multiply and add at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch

from fire_core.backbones.kernels import neighbour_sums
from fire_core.backbones.kernels.blocks import blocks_of, gather, spread, to_atoms
from fire_core.backbones.kernels.channels import HIGHEST_DEGREE
from fire_core.backbones.kernels.tables import Parts, Path, Tables, make_tables
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.backbones.kernels.trilinear import Edges

TYPES: Final = {torch.float32: np.float32, torch.float64: np.float64}


class TensorProductConvolution(torch.nn.Module):
    """Messages of weighted tensor products, added up at their receivers.

    Equal to e3nn's `TensorProduct` of "uvu" instructions with weights, given for each
    edge, and the sum of its rows by receiver. Twice differentiable.

    Parameters
    ----------
    features
        (channels, degree l) of each part of a row of features; a part lies as
        [channel][m], as e3nn has it.
    harmonics
        Degree of each part of a row of harmonics.
    messages
        (channels, degree) of each part of a row of messages.
    paths
        The products, in the order of their weights.
    """

    def __init__(
        self,
        features: Sequence[tuple[int, int]],
        harmonics: Sequence[int],
        messages: Sequence[tuple[int, int]],
        paths: Sequence[Path],
    ) -> None:
        super().__init__()
        self.features, self.messages = Parts(features), Parts(messages)
        self.harmonics, self.paths = (
            Parts([(1, degree) for degree in harmonics]),
            tuple(paths),
        )
        self._check()
        self.channels = [self.features.channels[path.feature] for path in paths]
        self.weight_numel = sum(self.channels)
        degrees = [*harmonics, *(degree for _, degree in (*features, *messages))]
        self.compiled = max(degrees, default=0) <= HIGHEST_DEGREE
        self.tables: dict[torch.dtype, Tables] = {}
        self.copies: dict[tuple[Any, ...], torch.Tensor] = {}

    def forward(
        self,
        x: torch.Tensor,
        edge_harmonics: torch.Tensor,
        weights: torch.Tensor,
        senders: torch.Tensor,
        receivers: torch.Tensor,
        n_nodes: int,
    ) -> torch.Tensor:
        """Return the messages, (n_nodes, messages.size).

        Parameters
        ----------
        x
            (n_senders, features.size), features.
        edge_harmonics
            (n_edges, harmonics.size).
        weights
            (n_edges, weight_numel), of each path its channels; or half as many rows,
            where the second half of the edges has the same weights as the first.
        senders, receivers
            (n_edges,), rows of `x` and of the messages.
        n_nodes
            Number of receivers.
        """
        self._check_rows(x, edge_harmonics, weights, len(senders))
        if self.compiled and x.device.type == "cpu" and x.dtype in TYPES:
            graph = _sort(senders, receivers, len(x), n_nodes)
            tables = self._tables(x.dtype)
            return _Messages.apply(x, edge_harmonics, weights, tables, graph)
        return self.plain(x, edge_harmonics, weights, senders, receivers, n_nodes)

    def plain(
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
        if len(weights) < len(senders):
            weights = weights.repeat(2, 1)
        blocks = blocks_of(receivers, n_nodes)
        lengths = [stop - start for start, stop, _ in blocks.ranges]
        features = gather(x, senders).split(self.features.sizes, dim=1)
        padded = spread(edge_harmonics, blocks)
        harmonics = padded.split(self.harmonics.sizes, dim=1)
        shares = weights.split(self.channels, dim=1)
        sums: list[torch.Tensor | None] = [None] * len(self.messages)
        for k, (path, share) in enumerate(zip(self.paths, shares, strict=True)):
            shape = (len(share), *self.features[path.feature])
            left = features[path.feature].reshape(shape)
            left = spread((share[:, :, None] * left).flatten(1), blocks)
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
            joined = to_atoms(torch.cat(parts), blocks)
            coefficients = self._on(k, x)
            flat = coefficients.flatten(0, 1)
            product = joined.reshape(n_nodes, shape[1], len(flat)) @ flat
            old = sums[path.message]
            sums[path.message] = product if old is None else old + product
        return torch.cat(
            [
                x.new_zeros(n_nodes, width) if part is None else part.flatten(1)
                for part, width in zip(sums, self.messages.sizes, strict=True)
            ],
            dim=1,
        )

    def _on(self, path: int, like: torch.Tensor) -> torch.Tensor:
        """Return a path's coefficients on a device, in a type."""
        key = (path, like.device, like.dtype)
        if key not in self.copies:
            self.copies[key] = torch.as_tensor(self.paths[path].coefficients).to(like)
        return self.copies[key]

    def _check_rows(
        self,
        x: torch.Tensor,
        harmonics: torch.Tensor,
        weights: torch.Tensor,
        n_edges: int,
    ) -> None:
        """Refuse what would be read beyond its end."""
        widths = self.features.size, self.harmonics.size, self.weight_numel
        found = x.shape[1], harmonics.shape[1], weights.shape[1]
        half = n_edges == 2 * len(weights)
        if (
            found != widths
            or len(harmonics) != n_edges
            or not (half or len(weights) == n_edges)
            or not x.dtype == harmonics.dtype == weights.dtype
        ):
            tensors = ", ".join(
                f"{tuple(t.shape)} of {t.dtype}" for t in (x, harmonics, weights)
            )
            msg = (
                f"features, harmonics and weights of {n_edges} edges are {tensors}; "
                f"expected rows of {widths} of one type, as many as there are edges "
                "(weights: or half as many)"
            )
            raise BackboneError(msg)

    def _check(self) -> None:
        for path in self.paths:
            channels, width = self.features[path.feature]
            expected = (width, self.harmonics.widths[path.harmonic])
            mul, third = self.messages[path.message]
            if path.coefficients.shape != (*expected, third) or mul != channels:
                msg = (
                    f"a path has coefficients of shape {path.coefficients.shape} and "
                    f"messages of {mul} channels; its parts ask for "
                    f"{(*expected, third)} and {channels}"
                )
                raise BackboneError(msg)

    def _tables(self, dtype: torch.dtype) -> Tables:
        if dtype not in self.tables:
            parts = (self.features, self.harmonics, self.messages)
            self.tables[dtype] = make_tables(parts, self.paths, TYPES[dtype])
        return self.tables[dtype]


class _Graph(NamedTuple):
    by_receiver: Edges
    by_sender: Edges


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
        if len(ends) and (ends.min() < 0 or ends.max() >= count):
            msg = (
                f"edges lead from or to atoms {ends.min()} … {ends.max()}, but there "
                f"are {count}; build the graph again from its frame"
            )
            raise BackboneError(msg)
    return _Graph(
        neighbour_sums.sort_edges(second, first, n_receivers),
        neighbour_sums.sort_edges(first, second, n_senders),
    )


def _arrays(*tensors: torch.Tensor) -> tuple[NDArray[Any], ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


class _Messages(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        harmonics: torch.Tensor,
        weights: torch.Tensor,
        tables: Tables,
        graph: _Graph,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, harmonics, weights)
        ctx.tables, ctx.graph = tables, graph
        out = neighbour_sums.messages(
            tables, graph.by_receiver, _arrays(x, harmonics, weights), _threads()
        )
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        slopes = _Gradients.apply(*ctx.saved_tensors, grads[0], ctx.tables, ctx.graph)
        return *slopes, None, None


class _Gradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[torch.Tensor, ...]:
        *tensors, tables, graph = args
        ctx.save_for_backward(*tensors)
        ctx.tables, ctx.graph = tables, graph
        inputs = _arrays(*tensors)
        slopes = neighbour_sums.gradients(tables, graph.by_sender, inputs, _threads())
        return _to_tensors(slopes, len(inputs[2]))

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
        slopes = neighbour_sums.second_gradients(
            tables, graph.by_sender, inputs, threads
        )
        above = neighbour_sums.second_messages(
            tables, graph.by_receiver, (*inputs[:3], *inputs[4:]), threads
        )
        return *_to_tensors(slopes, len(inputs[2])), torch.from_numpy(above)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:  # noqa: ARG004
        msg = (
            "slopes of the compiled tensor product can be taken twice, not three "
            "times; call its `plain` instead"
        )
        raise BackboneError(msg)


def _to_tensors(slopes: neighbour_sums.Arrays, n_rows: int) -> tuple[torch.Tensor, ...]:
    """Return slopes to x, Y and w; those of edges with the same weights added up."""
    to_x, to_harmonics, to_weights = (torch.from_numpy(slope) for slope in slopes)
    if n_rows < len(to_weights):
        to_weights = to_weights[:n_rows].add_(to_weights[n_rows:])
    return to_x, to_harmonics, to_weights


def _threads() -> int:
    return int(torch.get_num_threads())
