"""The automations of a service: silent runs crash, campaigns start again, people hear.

A run says every `HEARTBEAT_S` that it lives. One that is silent for `SILENCE_S` is
declared crashed; a window shorter than three heartbeats would crash healthy ones. Two
runs of one step are harmless: the store lets one of them work.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from prefect.client.schemas.objects import StateType
from prefect.events import (
    ChangeFlowRunState,
    EventTrigger,
    Posture,
    ResourceSpecification,
    SendNotification,
)
from prefect.events.schemas.automations import AutomationCore

from cli.service.settings import HEARTBEAT_S
from fire_core.campaign.observer import CampaignEvent

if TYPE_CHECKING:
    from uuid import UUID

SILENCE_S: Final = 3 * HEARTBEAT_S
RESTART_TAG: Final = "fire-restart"
STUCK_S: Final = {"process": 120, "docker": 600, "kubernetes": 1200}
"""Seconds between taking a run and its start, images and nodes fetched included."""
BEAT: Final = "prefect.flow-run.heartbeat"
ANY_RUN: Final = {"prefect.resource.id": ["prefect.flow-run.*"]}
ENDED: Final = {
    f"prefect.flow-run.{state}"
    for state in ("Completed", "Failed", "Cancelled", "Crashed", "Suspended", "Paused")
}


def crash_silent_runs() -> AutomationCore:
    """Return the automation that declares a silent run crashed."""
    return _crash_without(
        "fire: crash silent runs",
        f"silent for {SILENCE_S} s: its process or worker is gone",
        after={BEAT},
        expect={BEAT},
        within_s=SILENCE_S,
    )


def crash_stuck_runs(pool_type: str) -> AutomationCore:
    """Return the automation that declares a run crashed which never started.

    A worker that dies between taking a run and starting its process leaves it pending.
    """
    patience_s = STUCK_S[pool_type]
    return _crash_without(
        "fire: crash stuck runs",
        f"not started after {patience_s} s: its worker is gone",
        after={"prefect.flow-run.Pending", "prefect.flow-run.Submitting"},
        expect={"prefect.flow-run.Running"},
        within_s=patience_s,
    )


def _crash_without(
    name: str, message: str, *, after: set[str], expect: set[str], within_s: int
) -> AutomationCore:
    """Crash a run of which nothing that is expected comes in time, nor its end."""
    return AutomationCore(
        name=name,
        description=message,
        trigger=EventTrigger(
            after=after,
            expect={*expect, *ENDED},
            match=ResourceSpecification(ANY_RUN),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=within_s),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
    )


def restart_campaigns() -> AutomationCore:
    """Return the automation that schedules a crashed campaign again."""
    return AutomationCore(
        name="fire: restart crashed campaigns",
        description="The store knows what is done; a campaign goes on from there.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Crashed"},
            match=ResourceSpecification(
                {"prefect.resource.id": ["prefect.flow-run.*"]}
            ),
            match_related=ResourceSpecification(
                {
                    "prefect.resource.id": [f"prefect.tag.{RESTART_TAG}"],
                    "prefect.resource.role": ["tag"],
                }
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED,
                name="AwaitingRetry",
                message="its process was lost; it goes on from the store",
                force=True,
            )
        ],
    )


def tell_failed_labels(block_id: UUID) -> AutomationCore:
    """Return the automation that sends a message of what a person should look at."""
    return AutomationCore(
        name="fire: tell of failed labels",
        description="Labels failed, or a run left what the model knows.",
        trigger=EventTrigger(
            expect={event.value for event in CampaignEvent},
            match=ResourceSpecification({"prefect.resource.id": ["fire.campaign.*"]}),
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            SendNotification(
                block_document_id=block_id,
                subject="FIRE: {{ event.event }}",
                body="{{ event.resource.name }}: {{ event.payload.text }}",
            )
        ],
    )
