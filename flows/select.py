"""Flow: choose what to label, from candidates or from the test trajectory."""

from __future__ import annotations

from prefect import flow

from fire_core.campaign.names import TEST
from fire_core.campaign.reference import CampaignRef
from tasks.explore import plan_run
from tasks.select import choose_test_frames, select_candidates


@flow(name="fire-select", flow_run_name="{ref.name}-select-{purpose}-{round_}")
def select_flow(ref: CampaignRef, round_: int, purpose: str) -> int:
    """Choose from a finished run's frames; return how many.

    Parameters
    ----------
    ref
        The campaign.
    round_, purpose
        Which run: `explore` gives candidates, `test` the test set.
    """
    plan = plan_run(ref, round_, purpose)
    if purpose == TEST:
        return choose_test_frames(ref, plan)
    return select_candidates(ref, plan)
