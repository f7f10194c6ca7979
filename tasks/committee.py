"""Train the members of a committee, each in a process of its own."""

from __future__ import annotations

from prefect import get_run_logger, task

from fire_core.backbones.registry import count_gpus
from fire_core.campaign import member_kind
from tasks.context import CampaignRef, available_cores, hold_step, open_campaign
from tasks.naming import model_name
from tasks.train_child import train_in_child

AT_ONCE_ON_CPU = 2


def committee_width(ref: CampaignRef) -> int:
    """Return how many members are trained at once."""
    with open_campaign(ref) as (_, config):
        committee = config.committee
    width = committee.parallel or count_gpus() or min(AT_ONCE_ON_CPU, available_cores())
    return max(1, min(width, committee.members))


@task(name="train-member", task_run_name="train-{kind}-{round_}", retries=1)
def train_member(ref: CampaignRef, round_: int, kind: str, width: int) -> str:
    """Train one member in a child process; return its sha256.

    Without a GPU the cores are divided among the members that are trained at once;
    with several, members take turns on them.

    Raises
    ------
    TrainingError
        The process ended without a model; the task is tried once more and goes on
        after the last committed epoch.
    """
    say = get_run_logger().info
    with (
        open_campaign(ref) as (store, _),
        hold_step(store, ref, f"train-{model_name(kind, round_)}", say),
    ):
        return train_in_child(ref, round_, kind, say=say, beside=width)


def list_members(ref: CampaignRef) -> list[str]:
    """Return the kinds of a committee's members."""
    with open_campaign(ref) as (_, config):
        return [member_kind(n + 1) for n in range(config.committee.members)]
