"""Run molecular dynamics, a task for each committed segment."""

from __future__ import annotations

from prefect import task

from fire_core.campaign.names import RunPlan
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.steps import exploring
from tasks.observer import observed


@task(name="plan-run", task_run_name="plan-{purpose}-{round_}")
def plan_run(ref: CampaignRef, round_: int, purpose: str) -> RunPlan:
    """Open an MD run in the store, or find the one that was begun."""
    with observed(ref) as campaign:
        return exploring.plan_run(campaign, round_, purpose)


@task(name="md-segment", task_run_name="{plan.purpose}-segment-{index}", retries=1)
def advance_run(ref: CampaignRef, plan: RunPlan, index: int) -> int:
    """Run one segment unless the store has it; return the replicas still alive."""
    with observed(ref) as campaign:
        return exploring.advance_run(campaign, plan, index)
