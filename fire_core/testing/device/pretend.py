"""A pretend accelerator: real numbers, an accelerator's rules, and no hardware.

A `PretendTensor` says that it lies on a device named `pretend` and keeps its numbers in
a tensor on the CPU. Every operation of torch on one, in Python, TorchScript or
autograd's threads, comes by here (`__torch_dispatch__`), and is computed on the CPU
after what CUDA would ask of it: all tensors on one device, but for numbers of no
dimension in elementwise operations and for indices. What makes the host wait for the
device is noted (`Wait`), by the line of the program that asked for it.

The device is torch's PrivateUse1 with a guard in Python, so that autograd gives it a
thread of its own, as it does CUDA.
"""

from __future__ import annotations

import functools
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    return_and_correct_aliasing,
)

from fire_core.testing.device.backend import (
    DEVICE,
    NAME,
    copied_scripts,
    register,
    visible_moves,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

CPU: Final = torch.device("cpu")

aten = torch.ops.aten
MOVES: Final = {aten._to_copy, aten.copy_}
INDEXED: Final = {
    *(aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_),
    aten._unsafe_index,
}
"""Operations whose indices may be on the CPU; they are sent to the device."""
BY_SIZE: Final = {
    *(aten.nonzero, aten.masked_select, aten._unique2, aten.unique_consecutive),
    *(aten.unique_dim, aten.bincount, aten.equal, aten._local_scalar_dense),
    *(aten.is_nonzero, aten._linalg_svd, aten._linalg_eigh),
    aten._linalg_check_errors,
}
"""Operations whose result's size or value the host waits for."""


class Wait(StrEnum):
    """Why the host waited for the device."""

    READ = "read"
    """A number, or a size that depends on numbers, was asked for."""
    DOWNLOAD = "download"
    """A tensor was copied to the CPU."""
    UPLOAD = "upload"
    """A tensor was copied from pageable memory, which is not done behind one's back."""


class WrongDeviceError(RuntimeError):
    """Tensors met that CUDA does not compute with each other."""


@dataclass(slots=True)
class Waits:
    """What made the host wait, and where: counted by kind, operation and line."""

    seen: Counter[tuple[Wait, str, str]]

    def note(self, kind: Wait, operation: Any) -> None:
        """Count one."""
        self.seen[kind, str(operation), _line()] += 1

    def listed(self) -> list[tuple[str, str, str, int]]:
        """Return kind, operation, line and how often, the most frequent first."""
        return [(str(k), o, line, n) for (k, o, line), n in self.seen.most_common()]


_watching: list[Waits] = []


def _line() -> str:
    """Return the innermost line of FIRE, or of a model's package, that is running."""
    frame: FrameType | None = sys._getframe(2)
    package = __package__.replace(".", "/")
    while frame is not None:
        name = frame.f_code.co_filename
        for root in ("/fire_core/", "/mace/", "/chgnet/", "/torch_sim/"):
            if root in name and package not in name:
                return f"{root[1:]}{name.rpartition(root)[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return "autograd"


def _note(kind: Wait, operation: Any) -> None:
    for waits in _watching:
        waits.note(kind, operation)


class PretendTensor(torch.Tensor):
    """A tensor on the pretend device.

    Attributes
    ----------
    inner
        Its numbers, on the CPU.
    """

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> PretendTensor:
        made: PretendTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(DEVICE),
        )
        made.inner = inner
        return made

    def __repr__(self) -> str:
        """Show the numbers without counting that they were looked at."""
        return f"{NAME}({self.inner})"

    def __reduce_ex__(self, _: Any) -> Any:
        """Pickle the numbers, as a file of a GPU's tensors is read where none is."""
        _note(Wait.DOWNLOAD, "pickle")
        kept = self.inner.detach().clone().requires_grad_(self.requires_grad)
        return kept.__reduce_ex__(2)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Copy numbers, gradient and whether it is a parameter."""
        if id(self) in memo:
            return memo[id(self)]
        copy: Any = PretendTensor(self.inner.detach().clone())
        if isinstance(self, torch.nn.Parameter):
            copy = torch.nn.Parameter(copy, requires_grad=self.requires_grad)
        else:
            copy.requires_grad_(self.requires_grad)
        memo[id(self)] = copy
        return copy

    @property
    def data(self) -> Any:
        """The tensor without its history."""
        return self.detach()

    @data.setter
    def data(self, new: Any) -> None:
        torch.Tensor.data.__set__(self, new)
        self.inner = new.inner

    def tolist(self) -> Any:
        """Return the numbers as Python's, for which the host waits."""
        _note(Wait.READ, "tolist")
        return self.inner.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        """Refuse, as for every tensor that is not on the CPU."""
        msg = f"can't convert {DEVICE} device type tensor to numpy; use Tensor.cpu()"
        raise WrongDeviceError(msg)

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Compute on the CPU what a device of its own would."""
        del types
        return _run(func, args, kwargs or {})


class Pretend(TorchDispatchMode):
    """Tensors are made on the pretend device where it is asked for; a block.

    Attributes
    ----------
    waits
        What made the host wait in the block.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = Waits(Counter())

    def __enter__(self) -> Pretend:
        """Begin to watch."""
        register()
        _watching.append(self.waits)
        self._blocks = ExitStack()
        self._blocks.enter_context(visible_moves())
        self._blocks.enter_context(copied_scripts())
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Watch no more."""
        super().__exit__(*error)
        self._blocks.close()
        _watching.remove(self.waits)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """See `PretendTensor`; here come operations that make tensors as well."""
        del types
        return _run(func, args, kwargs or {})


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Compute an operation, on the device if one of its tensors or its result is."""
    tensors: list[Any] = []
    _map(tensors.append, (args, kwargs))
    asked = kwargs.get("device")
    where = None if asked is None else torch.device(asked)
    ours = where is not None and where.type == NAME
    if not ours and not any(isinstance(t, PretendTensor) for t in tensors):
        return _run_on_host(func, args, kwargs)
    _check(func, args, kwargs, tensors)
    inner_args, inner_kwargs = _map(_inner, args), _map(_inner, kwargs)
    if where is not None:
        inner_kwargs["device"] = CPU
    out = func(*inner_args, **inner_kwargs)
    if where is not None and not ours:  # a copy to the host
        return out
    if func.overloadpacket is aten.copy_ and not isinstance(args[0], PretendTensor):
        return args[0]
    wrapped = _map(_wrap, out)
    if _returns_an_argument(func):
        return return_and_correct_aliasing(func, args, kwargs, wrapped)
    return wrapped


def _run_on_host(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Compute an operation of the host's tensors, of which some are pinned."""
    if func.overloadpacket is aten.is_pinned:
        return getattr(args[0], "pinned", False)
    if func.overloadpacket is aten._pin_memory:
        pinned = args[0].clone()
        pinned.pinned = True
        return pinned
    return func(*args, **kwargs)


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    """Return nested arguments or results, each tensor replaced."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, list | tuple):
        return type(value)(_map(function, part) for part in value)
    if isinstance(value, dict):
        return {key: _map(function, part) for key, part in value.items()}
    return value


@functools.cache
def _returns_an_argument(func: Any) -> bool:
    """Return whether results of an operation share memory with its arguments."""
    return any(result.alias_info is not None for result in func._schema.returns)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, PretendTensor) else value


def _wrap(value: Any) -> Any:
    return value if isinstance(value, PretendTensor) else PretendTensor(value)


def _check(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Any]
) -> None:
    """Refuse what CUDA refuses, and note what it makes the host wait for."""
    packet = func.overloadpacket
    strange = [t for t in tensors if not isinstance(t, PretendTensor)]
    if packet in MOVES:
        _note_move(func, args, kwargs)
        return
    unsized = packet is aten.repeat_interleave and kwargs.get("output_size") is None
    if packet in BY_SIZE or unsized:
        _note(Wait.READ, packet)
    if packet in INDEXED:
        indices = [t for t in args[1] if t is not None]
        if any(t.dtype in {torch.bool, torch.uint8} for t in indices):
            _note(Wait.READ, packet)
        on_cpu = [t for t in indices if not isinstance(t, PretendTensor)]
        for _ in on_cpu:
            _note(Wait.UPLOAD, packet)
        strange = [t for t in strange if not any(t is i for i in on_cpu)]
    elementwise = torch.Tag.pointwise in func.tags or packet in INDEXED
    if elementwise:
        strange = [t for t in strange if t.dim()]
    if strange:
        shapes = ", ".join(
            f"{tuple(t.shape)} on {t.device.type} ({t.dtype})" for t in tensors
        )
        msg = f"Expected all tensors of {func} to be on one device, got {shapes}"
        raise WrongDeviceError(f"{msg}, at {_line()}")


def _note_move(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Note a copy from or to the device, unless it goes on behind the host's back."""
    if func.overloadpacket is aten.copy_:
        target, source = args[0].device, args[1]
        behind = args[2] if len(args) > 2 else kwargs.get("non_blocking", False)
    else:
        source, behind = args[0], kwargs.get("non_blocking", False)
        asked = kwargs.get("device")
        target = source.device if asked is None else torch.device(asked)
    if target.type == source.device.type:
        return
    if target.type != NAME:
        _note(Wait.DOWNLOAD, func)
    elif not (behind and getattr(source, "pinned", False)):
        _note(Wait.UPLOAD, func)
