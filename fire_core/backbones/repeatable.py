"""Make a model's results repeat bit for bit on a CPU, in this process or another."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Fix the order of sums in a block, then restore the settings.

    Two things were seen to change the last bits of one and the same MACE call: with
    two threads, the backward of an index (index_put with accumulate) adds in
    whatever order the threads come; and TorchScript, which e3nn compiles with,
    rewrites its code after the first calls in a process, so a restarted run differed
    from one that went on. Deterministic algorithms cure the first, unoptimised
    execution the second (8 % slower). On CUDA the first would need an environment
    variable set before the process starts, so nothing is changed there.
    """
    import torch

    if device.type != "cpu":
        yield
        return
    from torch.utils import deterministic

    fills = deterministic.fill_uninitialized_memory
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    deterministic.fill_uninitialized_memory = False  # it guards against bugs, not order
    try:
        with torch.jit.optimized_execution(False):
            yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        deterministic.fill_uninitialized_memory = fills
