"""Choose the candidates worth a label, or the frames of the test set."""

from __future__ import annotations

from prefect import task

from fire_core.campaign.names import RunPlan
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.steps import exploring, selecting
from tasks.observer import observed


@task(name="select", task_run_name="select-round-{plan.round}")
def select_candidates(ref: CampaignRef, plan: RunPlan) -> int:
    """Choose from a run's frames by SOAP, PCA and the selector; return how many."""
    with observed(ref) as campaign:
        return selecting.select_candidates(campaign, plan)


@task(name="choose-test", task_run_name="choose-test-{ref.name}")
def choose_test_frames(ref: CampaignRef, plan: RunPlan) -> int:
    """Take evenly spaced frames of the independent trajectory as the test set."""
    with observed(ref) as campaign:
        return exploring.choose_test_frames(campaign, plan)
