"""MACE's symmetric contraction as a few polynomials of each atom's features.

MACE contracts its features A with generalised Clebsch-Gordan tensors U (Batatia et
al., arXiv:2206.07697, eq. 10-11). U is not symmetric in its inputs, but every input is
the same A, so only its symmetric part counts. That part spans far fewer polynomials
than U has paths: of 11 third-order invariants of (s, v, t) five differ. They are
computed once for each atom and channel and then mixed with the element's weights,
with the channels innermost in memory.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

HIGHEST: Final = 3
RANK_TOLERANCE: Final = 1e-6  # U may have been single precision once


class PolynomialContraction(torch.nn.Module):
    """Drop-in for `mace.modules.symmetric_contraction.Contraction`.

    Parameters
    ----------
    contraction
        The layer to replace; its weights are shared, not copied. Its correlation is
        at most `HIGHEST`.
    """

    def __init__(self, contraction: Any) -> None:
        super().__init__()
        self.correlation = int(contraction.correlation)
        tensors = {
            order: _with_component_axis(contraction.U_tensors(order), order)
            for order in range(1, self.correlation + 1)
        }
        self.n_components = tensors[1].shape[0]
        self.weights = contraction.weights
        self.weights_max = contraction.weights_max
        dtype = contraction.weights_max.dtype
        rows, self.ranks = [], {}
        n_ell = tensors[1].shape[1]
        pairs = list(itertools.combinations_with_replacement(range(n_ell), 2))
        for order, tensor in tensors.items():
            basis, mixing = _reduce(tensor, order)
            self.ranks[order] = len(mixing)
            self._keep(f"mixing_{order}", mixing.to(dtype))
            if order == 1:
                self._keep("linear", basis.reshape(n_ell, -1).T.to(dtype))
            else:
                rows.append(_on_pairs(basis, order, pairs))
        empty = torch.zeros(0, len(pairs), dtype=dtype)
        quadratic = torch.cat([r.to(dtype) for r in rows]) if rows else empty
        first, second = torch.tensor(pairs).T
        self._keep("quadratic", quadratic)
        self._keep("first", first.contiguous())
        self._keep("second", second.contiguous())

    def _keep(self, name: str, constant: torch.Tensor) -> None:
        """Keep a constant beside the weights, on their device."""
        where = self.weights_max.device
        self.register_buffer(name, constant.to(where), persistent=False)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Contract features with themselves.

        Parameters
        ----------
        x
            (n_atoms, n_channels, n_ell), features A.
        y
            (n_atoms, n_elements), one-hot elements.

        Returns
        -------
        torch.Tensor
            (n_atoms, n_channels × n_components).
        """
        n_atoms, n_channels, n_ell = x.shape
        flat = x.permute(2, 0, 1).reshape(n_ell, n_atoms * n_channels)
        values = {1: self.linear @ flat}
        if self.correlation > 1:
            pairs = flat.index_select(0, self.first) * flat.index_select(0, self.second)
            products = self.quadratic @ pairs
            count = self.ranks[2] * self.n_components
            # split, not slices: the adjoint of a slice fills a whole tensor with zeros
            values[2], rest = products.split([count, len(products) - count])
            if self.correlation > 2:
                cubic = rest.reshape(-1, n_ell, n_atoms * n_channels)
                values[3] = (cubic * flat).sum(dim=1)
        out = torch.zeros((), dtype=x.dtype, device=x.device)
        for order, value in values.items():
            weight = self._weight(order, y)  # (rank, 1, n_atoms, n_channels)
            terms = value.reshape(-1, self.n_components, n_atoms, n_channels)
            out = out + (weight * terms).sum(dim=0)
        return out.permute(1, 2, 0).reshape(n_atoms, -1)

    def _weight(self, order: int, y: torch.Tensor) -> torch.Tensor:
        """Return each atom's weight of every polynomial of an order."""
        highest = order == self.correlation
        raw = self.weights_max if highest else self.weights[-order]
        mixed = torch.einsum("rk,ekc->erc", self.get_buffer(f"mixing_{order}"), raw)
        chosen = y @ mixed.reshape(len(mixed), -1)
        shape = (len(y), self.ranks[order], -1)
        return chosen.reshape(shape).permute(1, 0, 2)[:, None]


def _with_component_axis(tensor: torch.Tensor, order: int) -> torch.Tensor:
    """Return U as (n_components, n_ell, …, n_ell, n_paths) in double precision."""
    tensor = tensor.detach().cpu().double()
    return tensor[None] if tensor.dim() == order + 1 else tensor


def _reduce(tensor: torch.Tensor, order: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an orthonormal basis of the symmetric polynomials and how paths mix it.

    Returns
    -------
    basis
        (n_ell, …, n_ell, rank, n_components), symmetric in its first `order` axes.
    mixing
        (rank, n_paths).
    """
    inputs = range(1, order + 1)
    symmetric = sum(
        tensor.permute(0, *permutation, order + 1)
        for permutation in itertools.permutations(inputs)
    ) / len(list(itertools.permutations(inputs)))
    n_components, n_paths = tensor.shape[0], tensor.shape[-1]
    n_ell = tensor.shape[1]
    left, values, right = torch.linalg.svd(
        symmetric.reshape(-1, n_paths), full_matrices=False
    )
    kept = values > RANK_TOLERANCE * max(float(values.max()), 1e-30)
    rank = max(int(kept.sum()), 1)
    basis = left[:, :rank].reshape(n_components, *[n_ell] * order, rank)
    mixing = values[:rank, None] * right[:rank]
    return basis.permute(*range(1, order + 1), order + 1, 0), mixing


def _on_pairs(
    basis: torch.Tensor, order: int, pairs: Sequence[tuple[int, int]]
) -> torch.Tensor:
    """Return rows that take pair products x_i x_j (i ≤ j) to polynomials.

    Of second order the rows are the polynomials, (rank × n_components, n_pairs); of
    third order what still has to be multiplied with x_l and summed over l,
    (rank × n_components × n_ell, n_pairs).
    """
    first, second = torch.tensor(pairs).T
    factor = torch.where(first == second, 1.0, 2.0).double()
    on_pairs = basis[first, second] * factor.reshape(-1, *[1] * (basis.dim() - 2))
    if order == 2:
        return on_pairs.reshape(len(pairs), -1).T
    return on_pairs.permute(2, 3, 1, 0).reshape(-1, len(pairs))
