"""MACE's convolution summed over each atom's neighbours by small matrix products.

For scalar features h of the sender, weights R of the edge and spherical harmonics Y,
the message to atom i is sum_j (R_ji h_j) ⊗ Y_ji (Batatia et al., arXiv:2206.07697,
eq. 8). MACE writes every term to memory, edges × channels × (l_max + 1)², and adds them
up after. Here the neighbours of an atom stand in one block, and a batched matrix
product multiplies and adds at once. Atoms of about the same number of neighbours share
a block shape, so little is padded.
"""

from __future__ import annotations

from typing import Any

import torch

from fire_core.backbones.kernels.blocks import blocks_of, gather, spread, to_atoms


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
        blocks = blocks_of(edge_index, n_atoms)
        senders = gather(node_feats, edge_index[0])
        weighted = tp_weights.reshape(-1, n_paths, n_channels) * senders[:, None]
        left = spread(weighted.flatten(1), blocks)
        right = spread(edge_attrs, blocks)
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
        return to_atoms(joined, blocks)

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
