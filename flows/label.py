"""Flow: label a choice of structures, in several processes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from prefect import flow, unmapped
from prefect.task_runners import ThreadPoolTaskRunner

from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.steps.labels import LabelSummary
from tasks.label import label_lane, plan_labels, summarise_labels

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture
    from prefect.task_runners import TaskRunner

MOST_LANES = 128


def threads(number: int) -> TaskRunner[PrefectFuture[Any]]:
    """Return a runner of at most `number` tasks at once (Prefect's default: all)."""
    runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=number)
    return cast("TaskRunner[PrefectFuture[Any]]", runner)


@flow(
    name="fire-label",
    flow_run_name="{ref.name}-label-{purpose}-{round_}",
    task_runner=threads(MOST_LANES),
)
def label_flow(ref: CampaignRef, round_: int, purpose: str) -> LabelSummary:
    """Label what is missing of a choice; failures are records, not errors.

    Each of `label.workers` lanes waits on a process of its own. Several such flows
    may run at once, on as many machines.

    Parameters
    ----------
    ref
        The campaign.
    round_, purpose
        Which stored choice of structures.
    """
    plan = plan_labels(ref, round_, purpose)
    lanes = list(range(1, plan.lanes + 1))
    done = label_lane.map(
        unmapped(ref), unmapped(round_), unmapped(purpose), lanes, unmapped(plan.batch)
    ).result()
    owners = [owner for lane in done for owner in lane]
    return summarise_labels(ref, round_, purpose, plan, owners)
