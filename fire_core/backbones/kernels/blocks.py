"""Neighbours of an atom in one block of rows, and how rows get there and back.

Rows are moved by operations whose adjoints are each other, so that slopes of slopes
are found as well.
"""

from __future__ import annotations

from typing import Any, Final

import torch

from fire_core.backbones.sending import MadeOf, host_of, send

WASTE: Final = 1.25
"""Most that a block may be longer than the neighbours of any of its atoms."""


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

    def to(self, device: torch.device) -> Blocks:
        """Send them to a device."""
        for name in ("places", "row_of_atom", "atom_of_row"):
            setattr(self, name, send(getattr(self, name), device))
        return self


def blocks_of(receivers: torch.Tensor, n_atoms: int) -> Blocks:
    """Return the blocks of edges: made once, on the host where it knows the edges.

    Their ranges are numbers of the host, which would wait for a device to tell them.

    Parameters
    ----------
    receivers
        As of `Blocks`; or (2, n_edges) with the receivers in the second row. The same
        tensor is given by every layer.
    n_atoms
        Number of atoms.
    """

    def make() -> Blocks:
        known = host_of(receivers)
        ends = receivers if known is None else known
        blocks = Blocks(ends if ends.dim() == 1 else ends[1], n_atoms)
        return blocks.to(receivers.device)

    return _BLOCKS.get(receivers, n_atoms, make)


_BLOCKS: Final[MadeOf[Blocks]] = MadeOf()


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


def gather(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return rows of x by index, (n, …), whose adjoint adds them up."""
    rows: torch.Tensor = _Gather.apply(x, index)
    return rows


def spread(x: torch.Tensor, blocks: Blocks) -> torch.Tensor:
    """Return rows of edges at their places in the blocks, the others zero."""
    rows: torch.Tensor = _Spread.apply(x, blocks.places, blocks.size)
    return rows


def to_atoms(rows: torch.Tensor, blocks: Blocks) -> torch.Tensor:
    """Return rows of atoms, which are in the order of the blocks, in their own."""
    ordered: torch.Tensor = _Reorder.apply(rows, blocks.row_of_atom, blocks.atom_of_row)
    return ordered
