"""Wait for what has happened and stays so; hold a process where a test wants it.

No test waits for a state that passes: a faster machine skips it. A process that has to
be met in the middle of something tells that it is there and goes no further, until the
test lets it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

LIMIT_S = 240.0
"""So long that only something broken takes it, on the slowest machine."""
LOOK_S = 0.02


def wait_for(
    holds: Callable[[], object],
    process: subprocess.Popen[str] | subprocess.Popen[bytes] | None = None,
    limit_s: float = LIMIT_S,
) -> None:
    """Wait for what, once it holds, holds for good; a process has to live until then.

    The process is looked at first: what it did last is seen although it has ended.
    """
    deadline = time.monotonic() + limit_s
    while True:
        ended = None if process is None else process.poll()
        if holds():
            return
        assert ended is None, f"it ended (exit status {ended}) before it was there"
        assert time.monotonic() < deadline, f"not there after {limit_s:.0f} s"
        time.sleep(LOOK_S)


def halt(folder: Path, name: str) -> None:
    """Tell that this process has come to a place, and stay there until it is let go.

    `folder / name` is written; `let_go` writes what is waited for.
    """
    (folder / name).touch()
    wait_for((folder / f"{name}-go").exists)


def let_go(folder: Path, name: str) -> None:
    """Let a process that halts at a place, or will, go on."""
    (folder / f"{name}-go").touch()
