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
