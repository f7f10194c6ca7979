"""Score candidates by what the model does not know; assess labels as they arrive."""

from __future__ import annotations

from prefect import task

from fire_core.campaign.names import RunPlan
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.steps import uncertainty
from tasks.observer import observed


@task(name="score-candidates", task_run_name="score-candidates-{plan.round}")
def score_candidates(ref: CampaignRef, plan: RunPlan) -> int:
    """Compute and keep the uncertainty of a run's frames; return how many."""
    with observed(ref) as campaign:
        return uncertainty.score_candidates(campaign, plan)


@task(name="assess-new-labels", task_run_name="assess-new-labels-{round_}")
def assess_new_labels(ref: CampaignRef, round_: int) -> float | None:
    """Compare a round's labels with what the model before them expected."""
    with observed(ref) as campaign:
        return uncertainty.assess_new_labels(campaign, round_)
