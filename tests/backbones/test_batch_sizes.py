"""Batches as large as a device's memory holds, on a memory that is made up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from fire_core.backbones.batch_sizes import BatchSizes
from fire_core.backbones.memory import is_out_of_memory

SCRIPTED = """The following operation failed in the TorchScript interpreter.
Traceback of TorchScript, serialized code (most recent call last):
  File "code/__torch__/torch/fx/graph_module.py", line 11, in forward
    mul = torch.mul(x, w)
          ~~~~~~~~~ <--- HERE
RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total
capacity of 79.10 GiB of which 1.12 GiB is free."""


@dataclass
class Card:
    """A card on which an atom takes so many bytes."""

    capacity: int
    per_atom: int
    batches: list[int] = field(default_factory=list)
    taken: int = 0
    given_back: int = 0

    def free(self) -> int:
        return self.capacity

    def begin(self) -> None:
        self.taken = 0

    def peak(self) -> int:
        return self.taken

    def give_back(self) -> None:
        self.given_back += 1

    def run(self, sizes: list[int], batch: list[int]) -> list[int]:
        n_atoms = sum(sizes[i] for i in batch)
        if n_atoms * self.per_atom > self.capacity:
            raise RuntimeError(SCRIPTED)
        self.taken = n_atoms * self.per_atom
        self.batches.append(n_atoms)
        return batch


def test_batches_grow_to_what_the_memory_holds() -> None:
    card, frames = Card(capacity=20_000_000, per_atom=1000), [64] * 1000
    sizes = BatchSizes(card)
    found = sizes.compute(frames, lambda batch: card.run(frames, batch))
    assert found == list(range(1000))
    assert card.batches[:2] == [512, 4096]  # eight times what is known
    largest = 0.7 * 20_000_000 / 1000
    assert largest - 64 < max(card.batches) <= largest
    assert card.given_back == 0
    assert sizes.compute(frames[:2], lambda batch: card.run(frames, batch)) == [0, 1]


def test_where_memory_runs_out_a_batch_is_halved_and_none_is_as_large_again() -> None:
    """Frames of fewer neighbours came first; TorchScript says it in its own words."""
    card, frames = Card(capacity=300_000, per_atom=1000), [50] * 40
    sizes = BatchSizes(card)
    assert sizes.compute(frames, lambda b: card.run(frames, b)) == list(range(40))
    assert max(card.batches) == sizes.most == 250
    assert card.given_back == 1


def test_of_the_callers_size_it_is_halved_as_well() -> None:
    card, frames = Card(capacity=100_000, per_atom=1000), [50] * 8
    sizes = BatchSizes(card)
    found = sizes.compute(frames, lambda b: card.run(frames, b), most=400)
    assert found == list(range(8))
    assert card.batches == [100, 100, 100, 100]


def test_a_frame_that_does_not_fit_is_torchs_error() -> None:
    card = Card(capacity=1000, per_atom=1000)
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        BatchSizes(card).compute([2], lambda b: card.run([2], b))


def test_another_error_is_not_taken_for_lack_of_memory() -> None:
    card = Card(capacity=10**9, per_atom=1)

    def broken(_: list[int]) -> list[int]:
        msg = "Expected all tensors to be on the same device"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="same device"):
        BatchSizes(card).compute([8, 8], broken)


def test_on_a_cpu_batches_stay_small() -> None:
    import torch

    sizes, frames = BatchSizes.of(torch.device("cpu")), [100] * 20
    batches: list[int] = []

    def run(batch: list[int]) -> list[int]:
        batches.append(len(batch))
        return batch

    sizes.compute(frames, run)
    assert batches == [5, 5, 5, 5]


@pytest.mark.parametrize(
    ("words", "short"),
    [
        (SCRIPTED, True),
        ("CUDA error: out of memory", True),
        ("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)", True),
        ("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED", True),
        ("CUDA error: an illegal memory access was encountered", False),
        (re.sub("out of memory", "device-side assert triggered", SCRIPTED), False),
    ],
)
def test_what_torch_says_of_memory_is_understood(words: str, *, short: bool) -> None:
    assert is_out_of_memory(RuntimeError(words)) is short
