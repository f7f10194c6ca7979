"""Nothing that a test starts outlives the test run, however the run ends.

Every process of a run inherits a variable with the run's token. A small process beside
pytest waits until pytest is gone, also by SIGKILL, and then kills all that bear the
token: servers, workers, whatever leads a session of its own. Each worker of
pytest-xdist has a token and a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from typing import Final

import psutil

VARIABLE: Final = "FIRE_TEST_RUN"
LOOK_S: Final = 0.5
PASSES: Final = 20
"""Searches until nothing is found: a process that is killed may have just forked."""


def start() -> None:
    """Watch over this process: what it starts from now on dies with it."""
    plain = {k: v for k, v in os.environ.items() if k != VARIABLE}
    token = uuid.uuid4().hex
    subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, str(os.getpid()), token],
        env=plain,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ).returncode = 0  # never waited for: it ends after this process
    os.environ[VARIABLE] = token


def marked(token: str) -> list[psutil.Process]:
    """Return the processes of a run that live."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(VARIABLE) == token:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def main(parent: int, token: str) -> None:
    """Wait for the end of the parent; kill what it left."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    for _ in range(PASSES):
        left = marked(token)
        if not left:
            return
        for process in left:
            try:
                process.kill()
            except psutil.Error:
                continue
        time.sleep(0.1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
