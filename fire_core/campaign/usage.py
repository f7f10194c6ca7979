"""Time that the steps of a campaign take, added to its store."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fire_core.backbones.registry import count_gpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fire_core.campaign.state import CampaignState
    from fire_core.config.campaign import CampaignConfig


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cores_of(config: CampaignConfig) -> int:
    """Return how many cores training and dynamics take."""
    return config.threads or available_cores()


@contextmanager
def count_usage(
    campaign: CampaignState, round_: int, step: str, *, cores: int, gpus: int = 0
) -> Iterator[None]:
    """Add the block's wall, core and GPU seconds to the campaign's usage.

    Written also when the block fails, since the time is spent either way.
    """
    start = time.monotonic()
    try:
        yield
    finally:
        wall = time.monotonic() - start
        campaign.store.usage.add(
            campaign.name,
            round_,
            step,
            wall_s=wall,
            core_s=wall * cores,
            gpu_s=wall * gpus,
        )


@contextmanager
def count_model_usage(
    campaign: CampaignState, round_: int, step: str, *, devices: int = 1
) -> Iterator[None]:
    """Count as `count_usage` does, for a step that runs the model.

    `devices` processes do so at once, each with the campaign's threads.
    """
    config = campaign.config
    on_gpu = config.backbone.device != "cpu" and count_gpus() > 0
    cores, gpus = devices * cores_of(config), devices if on_gpu else 0
    with count_usage(campaign, round_, step, cores=cores, gpus=gpus):
        yield
