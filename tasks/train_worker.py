"""A training in processes of its own: ``python -m tasks.train_worker``.

Every epoch is committed to the store, so a killed process costs one epoch and the
next one goes on from there. With several devices torchrun starts a process for each;
the leading one writes.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time

from fire_core.backbones.registry import count_gpus
from fire_core.training.parallel import joined, start_processes, was_started
from tasks.context import CampaignRef, open_campaign
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
    parser.add_argument("--threads", type=int, required=True, help="of each process")
    parser.add_argument("--devices", type=int, default=1)
    arguments = parser.parse_args()
    ref = CampaignRef(name=arguments.name, db=arguments.db, blobs=arguments.blobs)
    _end_with(os.getppid())
    if arguments.devices > 1 and not was_started():
        start_processes(arguments.devices, "tasks.train_worker", sys.argv[1:])
        return 0
    with open_campaign(ref) as (_, config):
        on_gpu = config.backbone.device != "cpu" and count_gpus() > 0
    with joined("cuda" if on_gpu else "cpu") as group:
        train_to_store(
            ref,
            arguments.round,
            arguments.kind,
            say=_say if group.leads else lambda _: None,
            threads=arguments.threads,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
