"""Describe in words where a model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from fire_core.backbones.base import Backbone


def describe_device(device: torch.device) -> str:
    """Return the name of a GPU, or `cpu` with the threads that torch uses."""
    import torch

    if device.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name(device)}"
    if device.type != "cpu":
        return str(device.type)
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"


def device_of(backbone: Backbone) -> torch.device:
    """Return where a model's parameters are."""
    import torch

    network = getattr(backbone, "model", None)
    if isinstance(network, torch.nn.Module):
        return next(network.parameters()).device
    return torch.device("cpu")
