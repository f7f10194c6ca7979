"""MACE's convolution summed over each atom's neighbours by small matrix products.

For scalar features h of the sender, weights R of the edge and spherical harmonics Y,
the message to atom i is sum_j (R_ji h_j) ⊗ Y_ji (Batatia et al., arXiv:2206.07697,
eq. 8). MACE writes every term to memory, edges × channels × (l_max + 1)², and adds them
up after. Here the neighbours of an atom stand in one block, and a batched matrix
product multiplies and adds at once. Atoms of about the same number of neighbours share
a block shape, so little is padded.
"""

from __future__ import annotations

from typing import Any, Final

import torch

WASTE: Final = 1.25
"""Most that a block may be longer than the neighbours of any of its atoms."""


class BlockConvolution(torch.nn.Module):
    """Drop-in for the `conv_tp` of a MACE interaction with `conv_fusion` set.

    Parameters
    ----------
    product
        The tensor product to replace; `is_block_convolution` says whether it can be.
    """

    def __init__(self, product: Any) -> None:
        super().__init__()
        self.weight_numel = product.weight_numel
        self.n_channels = product.irreps_in1[0].mul
        self.degrees = [irrep.l for _, irrep in product.irreps_out]
        self.coefficients = path_coefficients(product)

    def forward(
        self,
        node_feats: torch.Tensor,
        edge_attrs: torch.Tensor,
        tp_weights: torch.Tensor,
        edge_index: torch.Tensor,
    ) -> torch.Tensor:
        """Return the messages, (n_atoms, n_channels × (l_max + 1)²).

        Parameters
        ----------
        node_feats
            (n_atoms, n_channels).
        edge_attrs
            (n_edges, (l_max + 1)²), spherical harmonics.
        tp_weights
            (n_edges, n_channels × (l_max + 1)).
        edge_index
            (2, n_edges), sender and receiver.
        """
        n_atoms, n_channels, n_paths = (
            len(node_feats),
            self.n_channels,
            len(self.degrees),
        )
        blocks = Blocks(edge_index[1], n_atoms)
        senders = _Gather.apply(node_feats, edge_index[0])
        weighted = tp_weights.reshape(-1, n_paths, n_channels) * senders[:, None]
        left = _Spread.apply(weighted.flatten(1), blocks.places, blocks.size)
        right = _Spread.apply(edge_attrs, blocks.places, blocks.size)
        lengths = [stop - start for start, stop, _ in blocks.ranges]
        parts = [
            self._messages(
                feats.reshape(n, -1, n_paths * n_channels),
                attrs.reshape(n, -1, edge_attrs.shape[1]),
            )
            for feats, attrs, (_, _, n) in zip(
                left.split(lengths), right.split(lengths), blocks.ranges, strict=True
            )
        ]
        joined = parts[0] if len(parts) == 1 else torch.cat(parts)
        return _Reorder.apply(joined, blocks.row_of_atom, blocks.atom_of_row)

    def _messages(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        # split, not slices: the adjoint of a slice fills a whole tensor with zeros
        widths = [2 * degree + 1 for degree in self.degrees]
        paths = zip(
            self.coefficients,
            left.split(self.n_channels, dim=2),
            right.split(widths, dim=2),
            strict=True,
        )
        outputs = [
            (coefficient * torch.bmm(feats.transpose(1, 2), attrs)).flatten(1)
            for coefficient, feats, attrs in paths
        ]
        return torch.cat(outputs, dim=1)


class Blocks:
    """Where each edge stands when the neighbours of an atom stand together.

    Parameters
    ----------
    receivers
        (n_edges,), atom that each edge leads to.
    n_atoms
        Number of atoms.

    Attributes
    ----------
    places
        (n_edges,), row of each edge.
    size
        Rows in all, padding included.
    ranges
        First row, row after the last, and atoms of each group of equal blocks.
    row_of_atom, atom_of_row
        (n_atoms,), permutation of atoms by group, and its inverse.
    """

    def __init__(self, receivers: torch.Tensor, n_atoms: int) -> None:
        counts = torch.bincount(receivers, minlength=n_atoms)
        self.atom_of_row = torch.argsort(counts, stable=True)
        self.row_of_atom = torch.empty_like(self.atom_of_row)
        arange = torch.arange(n_atoms, device=receivers.device)
        self.row_of_atom[self.atom_of_row] = arange
        ordered = counts[self.atom_of_row].tolist()
        lengths = torch.empty(n_atoms, dtype=torch.long)
        self.ranges: list[tuple[int, int, int]] = []
        self.size, begin = 0, 0
        for end in _group_ends(ordered):
            length = max(ordered[end - 1], 1)
            lengths[begin:end] = length
            stop = self.size + length * (end - begin)
            self.ranges.append((self.size, stop, end - begin))
            self.size, begin = stop, end
        lengths = lengths.to(receivers.device)
        starts = (torch.cumsum(lengths, 0) - lengths)[self.row_of_atom]
        order = torch.argsort(receivers, stable=True)
        before = torch.cumsum(counts, 0) - counts
        rank = torch.empty_like(receivers)
        rank[order] = (
            torch.arange(len(receivers), device=receivers.device)
            - before[receivers[order]]
        )
        self.places = starts[receivers] + rank


def _group_ends(ordered: list[int]) -> list[int]:
    """Return where groups of about equal counts end, for counts in ascending order."""
    ends, smallest = [], None
    for i, count in enumerate(ordered):
        if smallest is None:
            smallest = max(count, 4)
        elif count > WASTE * smallest:
            ends.append(i)
            smallest = max(count, 4)
    return [*ends, len(ordered)]


def is_block_convolution(product: Any) -> bool:
    """Return whether a product is of scalars and harmonics, one path for each l."""
    first, second, out = product.irreps_in1, product.irreps_in2, product.irreps_out
    return (
        len(first) == 1
        and first[0].ir.l == 0
        and first[0].ir.p == 1
        and all(mul == 1 for mul, _ in second)
        and [ir for _, ir in second] == [ir for _, ir in out]
        and all(mul == first[0].mul for mul, _ in out)
        and product.weight_numel == len(out) * first[0].mul
    )


def path_coefficients(product: Any) -> list[float]:
    """Return the factor that a tensor product puts on each of its paths."""
    weight = next(product.buffers())
    ones = [
        torch.ones(1, n, dtype=weight.dtype, device=weight.device)
        for n in (
            product.irreps_in1.dim,
            product.irreps_in2.dim,
            product.weight_numel,
        )
    ]
    with torch.no_grad():
        out = product(*ones)[0]
    return [float(out[block.start]) for block in product.irreps_out.slices()]


class _Gather(torch.autograd.Function):
    """Rows by index; its adjoint adds rows up, and the other way round."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(index)
        ctx.n_rows = len(x)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return _AddUp.apply(grads[0], index, ctx.n_rows), None


class _AddUp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, index: torch.Tensor, n_rows: int
    ) -> torch.Tensor:
        ctx.save_for_backward(index)
        return x.new_zeros(n_rows, x.shape[1]).index_add_(0, index, x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return _Gather.apply(grads[0], index), None, None


class _Spread(torch.autograd.Function):
    """Each row to a place of its own among zeros; its adjoint takes them back."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, places: torch.Tensor, size: int
    ) -> torch.Tensor:
        ctx.save_for_backward(places)
        ctx.size = size
        return x.new_zeros(size, x.shape[1]).index_copy_(0, places, x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (places,) = ctx.saved_tensors
        return _TakeBack.apply(grads[0], places, ctx.size), None, None


class _TakeBack(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, places: torch.Tensor, size: int
    ) -> torch.Tensor:
        ctx.save_for_backward(places)
        ctx.size = size
        return x.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (places,) = ctx.saved_tensors
        return _Spread.apply(grads[0], places, ctx.size), None, None


class _Reorder(torch.autograd.Function):
    """Permute rows; its adjoint permutes back."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, order: torch.Tensor, back: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(order, back)
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        order, back = ctx.saved_tensors
        return _Reorder.apply(grads[0], back, order), None, None
