"""Events of campaigns, which automations listen to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prefect.events import emit_event

if TYPE_CHECKING:
    from tasks.context import CampaignRef

FAILED_LABELS: Final = "fire.labels.failed"
NEW_TERRITORY: Final = "fire.selection.new-territory"


def tell(event: str, ref: CampaignRef, text: str) -> None:
    """Emit an event of a campaign, with a sentence for a person."""
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"fire.campaign.{ref.name}",
            "prefect.resource.name": ref.name,
        },
        payload={"text": text},
    )
