"""A training in a process of its own: ``python -m tasks.train_worker``.

Every epoch is committed to the store, so a killed process costs one epoch and the
next one goes on from there.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time

from tasks.context import CampaignRef
from tasks.train import train_to_store

POLL = 2.0  # s between two looks at the parent


def _end_with(parent: int) -> None:
    """End this process when its parent has died: a new flow starts a new one."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Read which model to train, and train it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("name", "db", "blobs", "kind"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--round", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    ref = CampaignRef(name=arguments.name, db=arguments.db, blobs=arguments.blobs)
    _end_with(os.getppid())
    train_to_store(
        ref, arguments.round, arguments.kind, say=_say, threads=arguments.threads
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
