"""How torch is told of the pretend accelerator."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.utils._python_dispatch import _disable_current_modes

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "pretend"
DEVICE: Final = f"{NAME}:0"


class _Backend:
    """What torch asks of a device's module."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """Do nothing: random numbers are drawn on the CPU."""

    def get_rng_state(self, *_: Any) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, *_: Any) -> None:
        """Do nothing, as above."""


_registered: list[bool] = []


def register() -> None:
    """Let torch know the device; once, before the first gradient of the process.

    Autograd counts its devices when it first runs, and never again.
    """
    if not _registered:
        from torch.utils import backend_registration

        set_up = backend_registration._setup_privateuseone_for_python_backend
        set_up(NAME, _Backend())
        _registered.append(True)


@contextmanager
def visible_moves() -> Iterator[None]:
    """Make tensors of Python's numbers on the CPU and move them after; a block.

    Else torch moves them beneath all modes. FakeTensorMode asks for the same.
    """
    switch: Any = torch._C
    before = switch._only_lift_cpu_tensors()
    switch._set_only_lift_cpu_tensors(True)
    try:
        yield
    finally:
        switch._set_only_lift_cpu_tensors(before)


@contextmanager
def copied_scripts() -> Iterator[None]:
    """Keep TorchScript's modules on the device through its files; a block.

    e3nn copies what it has compiled by writing and reading it, for which a tensor needs
    memory of its own. The tensors go by the CPU, and where they were is kept beside.
    """
    save, load = torch.jit.save, torch.jit.load

    def to_file(module: Any, file: Any, _extra_files: Any = None) -> None:
        extra = dict(_extra_files or {})
        tensors = [*module.parameters(), *module.buffers()]
        ours = any(tensor.device.type == NAME for tensor in tensors)
        extra["device"] = DEVICE if ours else ""
        if ours:
            module.to("cpu")
        with _disable_current_modes():
            save(module, file, _extra_files=extra)
        if ours:
            module.to(DEVICE)

    def from_file(file: Any, map_location: Any = None, _extra_files: Any = None) -> Any:
        extra = {"device": ""} | dict(_extra_files or {})
        with _disable_current_modes():
            module = load(file, map_location=map_location, _extra_files=extra)
        ours = map_location is None and extra["device"] in {DEVICE, DEVICE.encode()}
        return module.to(DEVICE) if ours else module

    torch.jit.save, torch.jit.load = to_file, from_file
    try:
        yield
    finally:
        torch.jit.save, torch.jit.load = save, load
