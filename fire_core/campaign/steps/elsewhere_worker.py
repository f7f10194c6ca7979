"""A step in the environment of a backbone.

Started as ``python -m fire_core.campaign.steps.elsewhere_worker FOLDER`` with a job in
the folder; what the step returns or raises is left there.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fire_core.campaign.state import CampaignState
from fire_core.campaign.steps.elsewhere import JOB, RESULT, SAY, TELLS, Job, Outcome
from fire_core.campaign.steps.processes import end_with
from fire_core.errors import FireError
from fire_core.progress import Work

if TYPE_CHECKING:
    from fire_core.campaign.observer import CampaignEvent
    from fire_core.campaign.reference import CampaignRef


def tell(*message: object) -> None:
    """Pass a message on to the process that started this one."""
    sys.stdout.write(f"{TELLS}{json.dumps(message)}\n")
    sys.stdout.flush()


class _ToldWork(Work):
    """Progress that the other process shows."""

    def __init__(self, key: str, title: str, total: int) -> None:
        super().__init__(title, total)
        self._key = key

    def __enter__(self) -> Self:
        tell("began", self._key, self.title, self.total)
        return super().__enter__()

    def reach(self, done: int) -> None:
        super().reach(done)
        tell("reached", self._key, done)


class _ToldObserver:
    """Tells everything to the other process; see `campaign.observer`."""

    def info(self, text: str) -> None:
        tell("info", text)

    def warning(self, text: str) -> None:
        tell("warning", text)

    def progress(self, key: str, title: str, total: int) -> Work:
        return _ToldWork(key, title, total)

    def event(self, event: CampaignEvent, ref: CampaignRef, text: str) -> None:
        tell("event", event.value, ref.model_dump(), text)


def run(job: Job) -> Outcome:
    """Run a step and return how it ended."""
    step = getattr(importlib.import_module(job.module), job.name)
    kwargs: dict[str, Any] = dict(job.kwargs)
    if job.says:
        kwargs[SAY] = lambda text: tell(SAY, text)
    try:
        if job.ref is None:
            return Outcome(step(*job.args, **kwargs))
        with CampaignState.find(job.ref, _ToldObserver()) as campaign:
            return Outcome(step(campaign, *job.args, **kwargs))
    except FireError as error:
        return Outcome(None, type(error).__name__, str(error))


def main(folder: Path) -> None:
    """Run the job of a folder and leave its outcome there."""
    end_with(os.getppid())
    outcome = run(pickle.loads((folder / JOB).read_bytes()))
    aside = folder / f"{RESULT}.new"
    aside.write_bytes(pickle.dumps(outcome))
    aside.rename(folder / RESULT)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
