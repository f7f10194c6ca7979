"""Memory that a training frees stays with the process, and goes back at its end."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fire_core.training import allocator

CHILD = """
import ctypes, sys
import psutil
from fire_core.training.allocator import kept_pages
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
SIZE = 200 * 2**20

def use_and_free():
    block = libc.malloc(SIZE)
    ctypes.memset(block, 1, SIZE)
    libc.free(block)

def resident():
    return psutil.Process().memory_info().rss

before = resident()
use_and_free()
plain = resident() - before
with kept_pages(sys.argv[1]):
    use_and_free()
    inside = resident() - before
after = resident() - before
print(plain / SIZE, inside / SIZE, after / SIZE)
"""


def parts_left(device: str) -> list[float]:
    """Return what part of a freed block is resident before, in and after the block."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, device],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    return [float(part) for part in done.stdout.split()]


@pytest.mark.skipif(allocator._glibc() is None, reason="the C library is not glibc")
def test_freed_memory_is_kept_while_it_trains_and_given_back_after() -> None:
    plain, inside, after = parts_left("cpu")
    assert plain < 0.1
    assert inside > 0.9
    assert after < 0.1


def test_on_a_gpu_nothing_is_changed() -> None:
    assert max(parts_left("cuda")) < 0.1
