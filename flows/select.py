"""Flow: choose what to label, from candidates or from the test trajectory."""

from __future__ import annotations

from prefect import flow

from tasks.context import CampaignRef
from tasks.explore import RunPlan
from tasks.select import choose_test_frames, select_candidates


@flow(name="fire-select", flow_run_name="{ref.name}-select-{plan.purpose}-{plan.round}")
def select_flow(ref: CampaignRef, plan: RunPlan) -> int:
    """Choose from a finished run's frames; return how many."""
    if plan.purpose == "test":
        return choose_test_frames(ref, plan)
    return select_candidates(ref, plan)
