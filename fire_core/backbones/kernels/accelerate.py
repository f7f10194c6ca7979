"""A twin of a MACE model that computes the same faster, on the same weights."""

from __future__ import annotations

import copy
from typing import Any

from fire_core.backbones.kernels.contraction import HIGHEST, PolynomialContraction
from fire_core.backbones.kernels.convolution import (
    BlockConvolution,
    is_block_convolution,
)


def accelerate(model: Any) -> Any:
    """Return a model that shares every parameter and buffer with the given one.

    Layers that can be replaced are (`kernels.convolution`, `kernels.contraction`); the
    others stay as mace-torch has them. The given model is left as it was, so it can be
    saved and read without FIRE. Moving either to another device or type ends the
    sharing.
    """
    shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    for interaction in twin.interactions:
        product = getattr(interaction, "conv_tp", None)
        plain = not hasattr(interaction, "conv_fusion")
        if plain and product is not None and is_block_convolution(product):
            interaction.conv_tp = BlockConvolution(product)
            interaction.conv_fusion = True
    for block in twin.products:
        layer = block.symmetric_contractions
        for i, contraction in enumerate(getattr(layer, "contractions", ())):
            if can_be_polynomials(contraction):
                layer.contractions[i] = PolynomialContraction(contraction)
    return twin


def can_be_polynomials(contraction: Any) -> bool:
    """Return whether a contraction is MACE's own, of an order that is covered."""
    return (
        type(contraction).__name__ == "Contraction"
        and hasattr(contraction, "weights_max")
        and int(contraction.correlation) <= HIGHEST
    )
