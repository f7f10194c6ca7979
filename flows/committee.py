"""Flow: train a committee, as many members at once as the devices allow."""

from __future__ import annotations

from prefect import flow, unmapped

from fire_core.campaign.names import member_kind
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.steps.train_child import committee_width
from flows.label import threads
from tasks.observer import observed
from tasks.train import train_member

MOST_AT_ONCE = 64


@flow(
    name="fire-committee",
    flow_run_name="{ref.name}-committee-{round_}",
    task_runner=threads(MOST_AT_ONCE),
)
def committee_flow(ref: CampaignRef, round_: int) -> list[str]:
    """Train or continue every member; return their sha256.

    Parameters
    ----------
    ref
        The campaign.
    round_
        Round whose labels, and all before, the members learn from.
    """
    with observed(ref) as campaign:
        width = committee_width(campaign)
        members = [member_kind(n + 1) for n in range(campaign.config.committee.members)]
    trained: list[str] = []
    for start in range(0, len(members), width):
        wave = members[start : start + width]
        futures = train_member.map(
            unmapped(ref), unmapped(round_), wave, unmapped(width)
        )
        trained += futures.result()
    return trained
