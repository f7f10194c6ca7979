"""e3nn's tensor products as convolutions: which ones can be, and how."""

from __future__ import annotations

from typing import Any

import torch

from fire_core.backbones.kernels.tables import Path
from fire_core.backbones.kernels.tensor_product import TensorProductConvolution


def is_weighted_by_channel(product: Any) -> bool:
    """Return whether every path weighs each channel of the features by itself.

    Harmonics have one channel, and weights are given for each edge.
    """
    return (
        not product.shared_weights
        and all(mul == 1 for mul, _ in product.irreps_in2)
        and all(
            i.connection_mode == "uvu" and i.has_weight for i in product.instructions
        )
    )


def convolution_of(product: Any) -> TensorProductConvolution:
    """Return the convolution that equals a product and the sum of its rows.

    Parameters
    ----------
    product
        e3nn's `TensorProduct`; `is_weighted_by_channel`.
    """
    from e3nn.o3 import wigner_3j

    features, harmonics = product.irreps_in1, product.irreps_in2
    messages = product.irreps_out
    paths = []
    for i in product.instructions:
        degrees = (
            features[i.i_in1].ir.l,
            harmonics[i.i_in2].ir.l,
            messages[i.i_out].ir.l,
        )
        coefficients = i.path_weight * wigner_3j(*degrees, dtype=torch.float64)
        paths.append(Path(i.i_in1, i.i_in2, i.i_out, coefficients.numpy()))
    return TensorProductConvolution(
        [(mul, ir.l) for mul, ir in features],
        [ir.l for _, ir in harmonics],
        [(mul, ir.l) for mul, ir in messages],
        paths,
    )


class ChannelConvolution(torch.nn.Module):
    """Drop-in for the `conv_tp` of a MACE interaction with `conv_fusion` set.

    Parameters
    ----------
    product
        The tensor product to replace; `is_weighted_by_channel`.
    """

    def __init__(self, product: Any) -> None:
        super().__init__()
        self.weight_numel = product.weight_numel
        self.sums = convolution_of(product)

    def forward(
        self,
        node_feats: torch.Tensor,
        edge_attrs: torch.Tensor,
        tp_weights: torch.Tensor,
        edge_index: torch.Tensor,
    ) -> torch.Tensor:
        """Return the messages, (n_atoms, irreps_out.dim).

        Parameters
        ----------
        node_feats
            (n_atoms, irreps_in1.dim).
        edge_attrs
            (n_edges, irreps_in2.dim), spherical harmonics.
        tp_weights
            (n_edges, weight_numel).
        edge_index
            (2, n_edges), sender and receiver.
        """
        messages: torch.Tensor = self.sums(
            node_feats, edge_attrs, tp_weights, *edge_index, len(node_feats)
        )
        return messages
