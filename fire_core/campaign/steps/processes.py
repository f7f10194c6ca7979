"""Child processes of a step: started with a log file, followed to their end."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

POLL = 0.5  # s between two looks at a process
PARENT_POLL = 2.0  # s between two looks at the parent


def start_process(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, its output going to `log`.

    `environment` is added to this process's.
    """
    with log.open("wb") as out:
        return subprocess.Popen(
            list(command),
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
            start_new_session=True,
        )


def follow(
    child: subprocess.Popen[bytes],
    log: Path,
    say: Callable[[str], None],
    *,
    on_look: Callable[[], None] = lambda: None,
) -> int:
    """Wait for a process, passing on what it writes; return its exit status.

    Parameters
    ----------
    child, log
        From `start_process`.
    say
        Called with each whole line.
    on_look
        Called after each look at the process, several times a second.
    """
    shown = 0
    while child.poll() is None:
        time.sleep(POLL)
        on_look()
        shown = _relay(log, shown, say)
    _relay(log, shown, say)
    return child.returncode


def end_with(parent: int) -> None:
    """End this process when its parent has died: a new flow starts a new one."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_POLL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def thread_limits(n_threads: int) -> dict[str, str]:
    """Return the environment that keeps a process to so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(names, str(max(n_threads, 1)))


def _relay(log: Path, shown: int, say: Callable[[str], None]) -> int:
    """Pass on the whole lines that a log gained; return the new position."""
    with log.open("rb") as stream:
        stream.seek(shown)
        fresh = stream.read()
    whole = fresh[: fresh.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", errors="replace").splitlines():
        say(line)
    return shown + len(whole)
