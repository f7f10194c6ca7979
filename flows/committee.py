"""Flow: train a committee, as many members at once as the devices allow."""

from __future__ import annotations

from prefect import flow, unmapped

from flows.label import threads
from tasks.committee import AT_ONCE_ON_CPU, list_members, train_member
from tasks.context import CampaignRef


@flow(
    name="fire-committee",
    flow_run_name="{ref.name}-committee-{round_}",
    task_runner=threads(AT_ONCE_ON_CPU),
)
def committee_flow(
    ref: CampaignRef, round_: int, width: int = AT_ONCE_ON_CPU
) -> list[str]:
    """Train or continue every member; return their sha256.

    Parameters
    ----------
    ref
        The campaign.
    round_
        Round whose labels, and all before, the members learn from.
    width
        Members at once; `with_options(task_runner=threads(width))` goes with it.
    """
    futures = train_member.map(
        unmapped(ref), unmapped(round_), list_members(ref), unmapped(width)
    )
    return list(futures.result())
