"""Count what waits for a device, on a machine that has none.

On a GPU, Python runs ahead of what it has asked for, until a number comes back: then it
waits, and the device idles until it is asked anew. Where that is shows on a CPU too: by
the operations whose result, or its shape, Python has to know.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Callable

# A number is read, or memory is reserved for as many results as there are.
READS = {
    "_local_scalar_dense", "nonzero", "equal", "is_nonzero", "allclose",
    "masked_select", "bincount", "histc", "_unique", "_unique2", "unique_dim",
    "unique_consecutive", "linalg_inv_ex", "_linalg_solve_ex", "_linalg_svd",
    "_linalg_eigh", "linalg_cholesky_ex",
}  # fmt: skip
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}


class Waits:
    """Counts, in a block, what would wait for a device, by the operation's name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._modes = (_Operations(self.counts), _Methods(self.counts))

    def __enter__(self) -> Self:
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()


class _Operations(TorchDispatchMode):
    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in READS or _selects(name, args) or _repeats(name, args, kwargs):
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def _selects(name: str, args: Any) -> bool:
    """Whether a mask picks: the number of its ones has to be known."""
    if name not in INDEXING:
        return False
    return any(t is not None and t.dtype is torch.bool for t in args[1])


def _repeats(name: str, args: Any, kwargs: Any) -> bool:
    """Whether a repetition is of unknown length."""
    if name != "repeat_interleave":
        return False
    return (kwargs or {}).get("output_size") is None and len(args) < 3


class _Methods(TorchFunctionMode):
    """What is no operation on a CPU: it reads the memory, or gives back itself."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self.counts = counts

    def __torch_function__(
        self, func: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        moved = [*args[1:2], (kwargs or {}).get("device")]
        to_cpu = name == "to" and any(_is_cpu(device) for device in moved)
        if name in {"tolist", "cpu"} or to_cpu:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def _is_cpu(device: Any) -> bool:
    """Whether a literal says so; a model's own device would be another one there."""
    return isinstance(device, str) and device == "cpu"


def waits_of(call: Callable[[], Any]) -> Counter[str]:
    """Return what waits for a device in a call."""
    with Waits() as waits:
        call()
    return waits.counts


class Largest(TorchDispatchMode):
    """Remembers, in a block, how many numbers the largest tensor has."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        for value in output if isinstance(output, list | tuple) else [output]:
            if isinstance(value, torch.Tensor):
                self.elements = max(self.elements, value.numel())
        return output
