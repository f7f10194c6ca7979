"""A twin of a MACE model that computes the same faster, on the same weights."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from fire_core.backbones.kernels.contraction import HIGHEST, PolynomialContraction
from fire_core.backbones.kernels.convolution import (
    BlockConvolution,
    is_block_convolution,
)
from fire_core.backbones.kernels.self_interaction import (
    SelfInteraction,
    is_self_interaction,
)
from fire_core.backbones.kernels.uvu import ChannelConvolution, is_weighted_by_channel

if TYPE_CHECKING:
    import torch


def accelerate(model: Any) -> Any:
    """Return a model that shares every parameter and buffer with the given one.

    Layers that can be replaced are (`kernels.convolution`, `kernels.uvu` on the CPU,
    `kernels.self_interaction`, `kernels.contraction`); the others stay as mace-torch
    has them. The given model is
    left as it was, so it can be saved and read without FIRE. Moving either to another
    device or type ends the sharing.
    """
    shared_tensors = [*model.parameters(), *model.buffers()]
    shared = {id(tensor): tensor for tensor in shared_tensors}
    twin = copy.deepcopy(model, shared)
    on_cpu = all(tensor.device.type == "cpu" for tensor in shared_tensors)
    for interaction in twin.interactions:
        product = getattr(interaction, "conv_tp", None)
        plain = not hasattr(interaction, "conv_fusion")
        if plain and product is not None:
            faster = _faster_convolution(product, on_cpu=on_cpu)
            if faster is not None:
                interaction.conv_tp, interaction.conv_fusion = faster, True
        if is_self_interaction(getattr(interaction, "skip_tp", None)):
            interaction.skip_tp = SelfInteraction(interaction.skip_tp)
    for block in twin.products:
        layer = block.symmetric_contractions
        for i, contraction in enumerate(getattr(layer, "contractions", ())):
            if can_be_polynomials(contraction):
                layer.contractions[i] = PolynomialContraction(contraction)
    return twin


def _faster_convolution(product: Any, *, on_cpu: bool) -> torch.nn.Module | None:
    """Return what computes the same as a tensor product and the sum of its rows."""
    if is_block_convolution(product):
        return BlockConvolution(product)
    if on_cpu and is_weighted_by_channel(product):
        convolution = ChannelConvolution(product)
        if convolution.sums.compiled:
            return convolution
    return None


def can_be_polynomials(contraction: Any) -> bool:
    """Return whether a contraction is MACE's own, of an order that is covered."""
    return (
        type(contraction).__name__ == "Contraction"
        and hasattr(contraction, "weights_max")
        and int(contraction.correlation) <= HIGHEST
    )
