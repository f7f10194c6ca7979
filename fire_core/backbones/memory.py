"""Recognise that memory ran out, on a GPU or off it."""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = re.compile(
    r"out of memory|not enough memory|can.t allocate memory|cannot allocate memory"
    r"|bad_alloc|CU[A-Z]+_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is torch's, Python's or C++'s way to say so.

    torch has a class for CUDA alone; on other devices, and wherever TorchScript ran,
    it raises a RuntimeError that says so among a traceback.
    """
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(_WORDS.search(str(error)))
