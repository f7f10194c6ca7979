"""What a campaign tells while it runs, and to whom: logs, progress, events."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from fire_core.progress import Work

if TYPE_CHECKING:
    from fire_core.campaign.reference import CampaignRef


class CampaignEvent(StrEnum):
    """What somebody outside may want to hear of at once."""

    FAILED_LABELS = "fire.labels.failed"
    NEW_TERRITORY = "fire.selection.new-territory"


class Observer(Protocol):
    """Hears of a running campaign; a flow's observer passes it on to Prefect."""

    def info(self, text: str) -> None:
        """Log what happened."""

    def warning(self, text: str) -> None:
        """Log what a person should look at."""

    def progress(self, key: str, title: str, total: int) -> Work:
        """Return the progress of long work, as a context.

        Parameters
        ----------
        key
            Lower-case letters, digits and dashes; the same for the same work.
        title
            What is being done.
        total
            Units of work in all.
        """

    def event(self, event: CampaignEvent, ref: CampaignRef, text: str) -> None:
        """Pass on an event of a campaign, with a sentence for a person."""


class LogObserver:
    """Writes to Python's logging; progress is heard by `fire_core.progress`.

    Parameters
    ----------
    logger
        Left out: that of `fire_core.campaign`.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("fire_core.campaign")

    def info(self, text: str) -> None:
        """Log what happened."""
        self._logger.info("%s", text)

    def warning(self, text: str) -> None:
        """Log what a person should look at."""
        self._logger.warning("%s", text)

    def progress(self, key: str, title: str, total: int) -> Work:  # noqa: ARG002
        """Return the progress of long work; `key` is of use to other observers."""
        return Work(title, total)

    def event(self, event: CampaignEvent, ref: CampaignRef, text: str) -> None:
        """Log an event."""
        self._logger.warning("%s: %s (%s)", ref.name, text, event)
