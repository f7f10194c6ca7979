"""What the host waits for in one optimiser step on the pretend accelerator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from fire_core.config.training import TrainConfig
from fire_core.testing.device.pretend import Pretend
from fire_core.training.batches import Examples
from fire_core.training.stepping import Stepper

if TYPE_CHECKING:
    from fire_core.testing.device.paths import Walk
    from fire_core.testing.device.pretend import Waits


def count_waits(walk: Walk) -> Waits:
    """Return the waits of a step of two frames, after one that has warmed up."""
    from torch_ema import ExponentialMovingAverage

    config = TrainConfig(strategy="naive")
    items = walk.items(1, 2)
    backbone = walk.on_device
    network = backbone.network(config, items, seed=1)
    weights = [p for p in network.module.parameters() if p.requires_grad]
    stepper = Stepper(
        network,
        torch.optim.Adam(weights, lr=1e-4, amsgrad=True),
        ExponentialMovingAverage(weights, decay=0.9),
        config,
        device=backbone.device,
        dtype=backbone.dtype,
    )
    examples = Examples(network, items)
    step = [examples[0], examples[1]]
    stepper.queue(step)
    with Pretend() as watch:
        stepper.queue(step)
    return watch.waits
