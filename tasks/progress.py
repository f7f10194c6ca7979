"""A progress artifact that a long task keeps up to date, at most every few seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from prefect.artifacts import create_progress_artifact, update_progress_artifact

if TYPE_CHECKING:
    from uuid import UUID

INTERVAL = 3.0  # s between two updates: the server's time is not ours to waste


class Progress:
    """Progress of one step, in per cent, shown in Prefect's UI.

    Parameters
    ----------
    key
        Artifact key: lower-case letters, digits and dashes.
    title
        What is being done.
    total
        Units of work in all.
    """

    def __init__(self, key: str, title: str, total: int) -> None:
        self.title = title
        self.total = max(total, 1)
        self._updated = time.monotonic()
        self._started = self._updated
        artifact = create_progress_artifact(0.0, key=key, description=title)
        self._artifact = cast("UUID", artifact)  # a coroutine only in async code

    def update(self, done: int) -> None:
        """Say how many units are done."""
        now = time.monotonic()
        if done < self.total and now - self._updated < INTERVAL:
            return
        self._updated = now
        left = (now - self._started) / max(done, 1) * (self.total - done)
        update_progress_artifact(
            self._artifact,
            progress=min(100.0 * done / self.total, 100.0),
            description=f"{self.title}: {done} of {self.total}, {left:.0f} s left",
        )
