"""What a campaign tells, passed on to Prefect: logs, progress, events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger
from prefect.events import emit_event

from fire_core.campaign.campaign import Campaign
from tasks.progress import Progress

if TYPE_CHECKING:
    from fire_core.campaign.observer import CampaignEvent
    from fire_core.campaign.reference import CampaignRef
    from fire_core.progress import Work


class PrefectObserver:
    """The observer of a flow or task run; see `fire_core.campaign.observer`."""

    def info(self, text: str) -> None:
        """Log what happened."""
        get_run_logger().info("%s", text)

    def warning(self, text: str) -> None:
        """Log what a person should look at."""
        get_run_logger().warning("%s", text)

    def progress(self, key: str, title: str, total: int) -> Work:
        """Return the progress of long work, shown as an artifact."""
        return Progress(key, title, total)

    def event(self, event: CampaignEvent, ref: CampaignRef, text: str) -> None:
        """Emit an event, which automations listen to."""
        emit_event(
            event,
            resource={
                "prefect.resource.id": f"fire.campaign.{ref.name}",
                "prefect.resource.name": ref.name,
            },
            payload={"text": text},
        )


def observed(ref: CampaignRef) -> Campaign:
    """Open a campaign that tells Prefect what happens; use it as a context."""
    return Campaign.find(ref, PrefectObserver())
