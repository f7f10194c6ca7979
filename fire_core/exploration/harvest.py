"""Which steps of an MD run become candidate frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from fire_core.config.steps import DynamicsConfig


def is_saved(step: int, config: DynamicsConfig) -> bool:
    """Return whether the configuration after `step` MD steps is kept.

    The start (step 0) never is: it is a structure that the campaign already has.
    """
    return step > 0 and step >= config.equilibration and step % config.save_every == 0


def count_saved(config: DynamicsConfig) -> int:
    """Count the frames of one replica that no guard stops."""
    first = max(config.equilibration, config.save_every)
    return max(0, (config.steps - first) // config.save_every + 1)


def spread(n_available: int, n: int) -> list[int]:
    """Choose `n` evenly spaced indices out of `n_available`, the last included.

    Frames next to each other in time are nearly the same; even spacing makes the
    fewest labels cover the longest time.

    Raises
    ------
    StructureError
        When fewer frames are there than are asked for.
    """
    if n > n_available:
        msg = (
            f"expected at least {n} frames to spread over, got {n_available}; "
            "lower evaluate.n, or raise the trajectory's steps or replicas"
        )
        raise StructureError(msg)
    ends = np.arange(1, n + 1) * n_available // n - 1
    return [int(i) for i in ends]
