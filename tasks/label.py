"""Label a choice of structures: plan, one task a lane, count."""

from __future__ import annotations

from functools import partial

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.concurrency.sync import concurrency

from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.steps import labels
from fire_core.campaign.steps.labels import LICENCES, LabelPlan, LabelSummary
from tasks.observer import observed


@task(name="plan-labels", task_run_name="plan-labels-{purpose}")
def plan_labels(ref: CampaignRef, round_: int, purpose: str) -> LabelPlan:
    """Ask for the labels that are missing; return how many tasks compute them."""
    with observed(ref) as campaign:
        return labels.plan_labels(campaign, round_, purpose)


@task(
    name="label-lane",
    task_run_name="label-{purpose}-{round_}-lane-{lane}",
    retries=2,
    retry_delay_seconds=2,
)
def label_lane(
    ref: CampaignRef, round_: int, purpose: str, lane: int, batch: int
) -> list[str]:
    """Run labelling processes until a choice is settled; return their owners."""
    # A limit of this name is made by `fire deploy` where licences are few.
    licence = partial(concurrency, LICENCES, occupy=1, strict=False)
    with observed(ref) as campaign:
        return labels.run_lane(
            campaign, round_, purpose, batch=batch, lane=lane, licence=licence
        )


@task(name="summarise-labels", task_run_name="summarise-{purpose}")
def summarise_labels(
    ref: CampaignRef, round_: int, purpose: str, plan: LabelPlan, owners: list[str]
) -> LabelSummary:
    """Count the labels by state, the cost of the owners' ones, and show failures."""
    with observed(ref) as campaign:
        summary = labels.count_labels(campaign, round_, purpose, plan, owners)
        failed = labels.failed_labels(campaign, round_, purpose)
    if failed:
        create_table_artifact(
            [
                {"structure": r.key[:12], "kind": r.kind, "reason": r.reason}
                for r in failed
            ],
            key=f"label-failures-{ref.name}",
            description=f"Failed labels of {purpose}, round {round_}",
        )
    return summary
