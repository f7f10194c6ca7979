"""A training in processes of its own.

Started as ``python -m fire_core.campaign.steps.train_worker``.

Every epoch is committed to the store, so a killed process costs one epoch and the
next one goes on from there. With several devices torchrun starts a process for each;
the leading one writes.
"""

from __future__ import annotations

import argparse
import os
import sys

from fire_core.backbones.registry import count_gpus
from fire_core.campaign.observer import LogObserver
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.state import CampaignState
from fire_core.campaign.steps.processes import end_with
from fire_core.campaign.steps.training import train_here
from fire_core.training.parallel import joined, start_processes, was_started


class _Printed(LogObserver):
    """Writes lines to standard output, which the parent process passes on."""

    def __init__(self, *, speaks: bool) -> None:
        super().__init__()
        self._speaks = speaks

    def info(self, text: str) -> None:
        if self._speaks:
            sys.stdout.write(f"{text}\n")
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
    end_with(os.getppid())
    if arguments.devices > 1 and not was_started():
        start_processes(
            arguments.devices, "fire_core.campaign.steps.train_worker", sys.argv[1:]
        )
        return 0
    with CampaignState.find(ref) as stored:
        config = stored.config.model_copy(update={"threads": arguments.threads})
        on_gpu = config.backbone.device != "cpu" and count_gpus() > 0
        with joined("cuda" if on_gpu else "cpu") as group:
            observer = _Printed(speaks=group.leads)
            campaign = CampaignState(stored.store, config, ref, observer)
            train_here(campaign, arguments.round, arguments.kind)
    return 0


if __name__ == "__main__":
    sys.exit(main())
