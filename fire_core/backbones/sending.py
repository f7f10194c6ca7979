"""Tensors sent to a device without waiting for it, and what the host knows of them.

A copy from pageable memory waits until the device has done all that it was given; one
from pinned memory is queued behind it. What the size of a result follows from, such as
the two atoms of each edge, was on the host before it was sent: whoever needs it asks
here (`host_of`) in place of reading it back, for which the host would wait again.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, MutableMapping

    import torch

T = TypeVar("T")

UNPINNED: Final = frozenset({"cpu", "meta", "mps"})
"""Devices to which nothing is sent from pinned memory."""


def send(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Return a tensor of the host on a device; the copy is queued."""
    import torch

    device = torch.device(device)
    if device.type in UNPINNED or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def send_known(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Send a tensor whose numbers the host is to know while the copy lives."""
    sent = send(tensor, device)
    if sent is not tensor:
        _known()[sent] = writes_to(sent), tensor
    return sent


def host_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return the numbers of a tensor on the host; None where the host has to wait."""
    if tensor.device.type == "cpu":
        return tensor
    version, known = _known().get(tensor, (0, None))
    return known if version == writes_to(tensor) else None


def writes_to(tensor: torch.Tensor) -> int:
    """Return how often a tensor was written to: what was known of it may be wrong."""
    return int(tensor._version)  # noqa: SLF001 - there is no other way to it


def read(tensor: torch.Tensor) -> torch.Tensor:
    """Return the numbers of a tensor on the host, if need be after waiting."""
    known = host_of(tensor)
    return tensor.cpu() if known is None else known


class MadeOf(Generic[T]):
    """What was made of tensors, each kept while it lives and is not written to."""

    def __init__(self) -> None:
        self._kept: MutableMapping[Any, tuple[Hashable, T]] | None = None

    def get(self, tensor: torch.Tensor, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` returned for this tensor and key."""
        if self._kept is None:
            self._kept = _by_tensor()
        version = (writes_to(tensor), key)
        told = self._kept.get(tensor)
        if told is None or told[0] != version:
            told = self._kept[tensor] = version, make()
        return told[1]


@functools.cache
def _known() -> MutableMapping[Any, tuple[int, torch.Tensor | None]]:
    return _by_tensor()


def _by_tensor() -> MutableMapping[Any, Any]:
    from torch.utils.weak import WeakTensorKeyDictionary

    kept: MutableMapping[Any, Any] = WeakTensorKeyDictionary()
    return kept
