"""How many atoms to compute at once: as many as a device's memory holds.

On a CPU a batch of some hundred atoms is as fast as any. A GPU wants as much as it can
hold, and how much that is depends on model, density and card: what a batch took at its
peak says what an atom takes, and the free memory how many more there may be.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from fire_core.backbones.base import BATCH_ATOMS, pack_by_atoms
from fire_core.backbones.memory import is_out_of_memory
from fire_core.progress import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

T = TypeVar("T")

SHARE: Final = 0.7
"""Part of the free memory that a batch is planned to take: atoms differ."""
GROWTH: Final = 8
"""Most that a batch is larger than the largest one so far, of which more is known."""


class Memory(Protocol):
    """What a device says of its memory."""

    def free(self) -> int:
        """Return how many bytes a computation may take."""

    def begin(self) -> None:
        """Begin to look for the peak."""

    def peak(self) -> int:
        """Return how many bytes more than at the beginning were taken at once."""

    def give_back(self) -> None:
        """Return what is kept for later computations."""


class CudaMemory:
    """The memory of a CUDA device, as torch's allocator sees it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._before = 0

    def free(self) -> int:
        """Return what the driver has, and what torch keeps and does not use."""
        import torch

        free, _ = torch.cuda.mem_get_info(self.device)
        kept = torch.cuda.memory_reserved(self.device)
        return int(free + kept - torch.cuda.memory_allocated(self.device))

    def begin(self) -> None:
        """Begin to look for the peak."""
        import torch

        torch.cuda.reset_peak_memory_stats(self.device)
        self._before = int(torch.cuda.memory_allocated(self.device))

    def peak(self) -> int:
        """Return how many bytes more than at the beginning were taken at once."""
        import torch

        return int(torch.cuda.max_memory_allocated(self.device)) - self._before

    def give_back(self) -> None:
        """Return torch's kept memory to the driver."""
        import torch

        gc.collect()
        torch.cuda.empty_cache()


@dataclass(slots=True)
class BatchSizes:
    """What is known of how much a model's batches take; grows as they are computed.

    Attributes
    ----------
    memory
        Of the model's device; None: it says nothing, and batches stay small.
    small
        Atoms of a batch where nothing is known, and on a CPU.
    bytes_per_atom
        Largest seen.
    largest
        Atoms of the largest batch that was computed.
    most
        Atoms that a batch may have since memory ran out; 0: it never did.
    """

    memory: Memory | None = None
    small: int = BATCH_ATOMS
    bytes_per_atom: float = 0.0
    largest: int = 0
    most: int = 0

    @classmethod
    def of(cls, device: torch.device, small: int = BATCH_ATOMS) -> BatchSizes:
        """Return what is known of a device at first."""
        memory = CudaMemory(device) if device.type == "cuda" else None
        return cls(memory, small)

    def limit(self) -> int:
        """Return how many atoms the next batch may have."""
        if self.memory is None or not self.bytes_per_atom:
            limit = self.small
        else:
            fitting = SHARE * self.memory.free() / self.bytes_per_atom
            limit = int(min(fitting, GROWTH * self.largest))
        return max(1, min(limit, self.most) if self.most else limit)

    def compute(
        self,
        sizes: Sequence[int],
        function: Callable[[list[int]], list[T]],
        *,
        most: int | None = None,
        title: str = "Predicting",
    ) -> list[T]:
        """Return a function's results of all frames, called on one batch at a time.

        Where memory runs out, the batch is halved, and none is as large again.

        Parameters
        ----------
        sizes
            Atoms of each frame.
        function
            Returns the results of the frames of a batch, given their indices.
        most
            Atoms in a batch; None: as many as memory holds.
        title
            What is being done, for those who wait.

        Raises
        ------
        RuntimeError, MemoryError
            A single frame does not fit; torch's own error.
        """
        results: list[T] = []
        with Work(title, len(sizes)) as work:
            while len(results) < len(sizes):
                done = len(results)
                limit = self.limit() if most is None else most
                limit = min(limit, self.most) if self.most else limit
                batch = next(pack_by_atoms(sizes[done:], limit))
                found = self._attempt([done + i for i in batch], sizes, function)
                if found is not None:
                    results += found
                    work.reach(len(results))
        return results

    def _attempt(
        self,
        batch: list[int],
        sizes: Sequence[int],
        function: Callable[[list[int]], list[T]],
    ) -> list[T] | None:
        """Return the results of a batch; None if memory ran out, which is noted."""
        n_atoms = sum(sizes[i] for i in batch)
        if self.memory is not None:
            self.memory.begin()
        try:
            found = function(batch)
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1 or not is_out_of_memory(error):
                raise
            self.most = max(1, n_atoms // 2)
            found = None
        # here the error, whose traceback held the tensors, is gone
        if self.memory is None:
            return found
        if found is None:
            self.memory.give_back()
        else:
            self.largest = max(self.largest, n_atoms)
            taken = self.memory.peak() / max(n_atoms, 1)
            self.bytes_per_atom = max(self.bytes_per_atom, taken)
        return found


def sizes_of(frames: Sequence[Any]) -> list[int]:
    """Return the atoms of each frame."""
    return [len(frame) for frame in frames]
