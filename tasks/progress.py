"""Progress of a long task: an artifact in Prefect's UI, and told to whoever listens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from fire_core.progress import Work

if TYPE_CHECKING:
    from uuid import UUID

INTERVAL = 3.0  # s between two updates: the server's time is not ours to waste


class Progress(Work):
    """Progress of one step in per cent, kept up at most every few seconds.

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
        super().__init__(title, total)
        self._units = max(total, 1)
        self._updated = time.monotonic()
        artifact = create_progress_artifact(0.0, key=key, description=title)
        self._artifact = cast("UUID", artifact)  # a coroutine only in async code

    def reach(self, done: int) -> None:
        """Report how many units are done."""
        super().reach(done)
        now = time.monotonic()
        if done < self._units and now - self._updated < INTERVAL:
            return
        self._updated = now
        update_progress_artifact(
            self._artifact,
            progress=min(100.0 * done / self._units, 100.0),
            description=f"{self.title}: {self.words()}",
        )
