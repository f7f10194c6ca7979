"""Train a model, or a member of the committee, every epoch committed to the store."""

from __future__ import annotations

from prefect import task

from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.steps import training
from tasks.observer import observed


@task(name="train", task_run_name="train-{kind}-{round_}")
def train_model(ref: CampaignRef, round_: int, kind: str) -> str:
    """Train one model on all labels so far; return its sha256."""
    with observed(ref) as campaign:
        return training.train_model(campaign, round_, kind)


@task(name="train-member", task_run_name="train-{kind}-{round_}", retries=1)
def train_member(ref: CampaignRef, round_: int, kind: str, width: int) -> str:
    """Train one of `width` members at once in a child process; return its sha256."""
    with observed(ref) as campaign:
        return training.train_member(campaign, round_, kind, width)
