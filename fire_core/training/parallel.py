"""Processes that share each optimiser step, one for each device (data parallelism).

torchrun starts them; every one holds the whole model and data, computes its part of
each batch, and adds its gradients to the others'. As the parts of a step add up to the
step (`training.loss`), so do theirs: the optimisation is the one of a single process.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fire_core.children import python_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

PATIENCE: Final = timedelta(hours=2)
"""How long a process waits for the others: the leading one may be writing, or fetching
replay data, before the rest can go on."""


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of one training, seen from one of them.

    Attributes
    ----------
    rank, size
        Number of this process, and how many there are.
    device
        Where this process exchanges with the others.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def mine(self, parts: Sequence[T]) -> list[T]:
        """Return this process's share of parts that every process knows."""
        return list(parts[self.rank :: self.size])

    def add_gradients(self, parameters: Sequence[Any]) -> None:
        """Replace each gradient by its sum over the processes."""
        if self.size == 1:
            return
        import torch

        flat = torch.cat(
            [
                (torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1)
                for p in parameters
            ]
        )
        torch.distributed.all_reduce(flat)
        sizes = [p.numel() for p in parameters]
        for parameter, summed in zip(parameters, flat.split(sizes), strict=True):
            parameter.grad = summed.view_as(parameter).clone()

    def add(self, value: float) -> float:
        """Return the sum of a number over the processes."""
        if self.size == 1:
            return value
        import torch

        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(total)
        return float(total)

    def any(self, *, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return self.add(float(flag)) > 0

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Run a block in the leading process before the others begin it."""
        if self.size > 1 and not self.leads:
            _wait()
        yield
        if self.size > 1 and self.leads:
            _wait()

    def collect(self, items: Sequence[T]) -> list[T]:
        """Return the items of all processes, by rank; the same list in each."""
        if self.size == 1:
            return list(items)
        import torch

        parts: list[list[T]] = [[] for _ in range(self.size)]
        torch.distributed.all_gather_object(parts, list(items))
        return [item for part in parts for item in part]


def _wait() -> None:
    import torch

    torch.distributed.barrier()


ALONE: Final = Group()


def start_processes(n: int, module: str, arguments: Sequence[str]) -> None:
    """Run a module in `n` processes that can be joined; return when all have ended.

    If one fails, torchrun ends the others and raises.
    """
    from torch.distributed.run import main as torchrun

    command = python_command(module, *arguments)
    torchrun(["--standalone", f"--nproc-per-node={n}", "--no-python", *command])


def was_started() -> bool:
    """Return whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def current_group() -> Group:
    """Return the processes that this one was joined with; `ALONE` if it was not."""
    import torch

    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not there:
        return ALONE
    distributed = torch.distributed
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    return Group(distributed.get_rank(), distributed.get_world_size(), device)


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """Join the processes that torchrun started, if it started this one.

    Parameters
    ----------
    device
        `cuda`: each process takes the GPU of its local rank and they exchange by
        NCCL; `cpu`: by Gloo.

    Yields
    ------
    Group
        `ALONE` where there is one process.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    import torch

    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "nccl" if device == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield current_group()
    finally:
        torch.distributed.destroy_process_group()
