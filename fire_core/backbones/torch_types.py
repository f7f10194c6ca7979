"""torch's default floating-point type, set for a block."""

from __future__ import annotations

from typing import Any


class default_dtype:  # noqa: N801 - reads as a statement
    """Set torch's default floating-point type for a block; MACE's data wants it."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __enter__(self) -> None:
        import torch

        self.before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_default_dtype(self.before)


def dtype_name(dtype: Any) -> str:
    """Return a floating-point type of torch as `float32` or `float64`."""
    return str(dtype).removeprefix("torch.")
