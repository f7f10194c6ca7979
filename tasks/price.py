"""Price the labels of a choice, and show the request where a person is asked."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.spending import Terms, describe_request, price_labels
from tasks.observer import observed


@task(name="price-labels", task_run_name="price-{purpose}-{round_}")
def price_choice(ref: CampaignRef, round_: int, purpose: str) -> Terms:
    """Price the missing labels, cut them to the budget, ask where a person must be."""
    with observed(ref) as campaign:
        terms = price_labels(campaign, round_, purpose)
        if terms.state == "pending":
            text = describe_request(campaign, round_, purpose)
            create_markdown_artifact(text, key=f"approval-{ref.name}")
            get_run_logger().info("%s", text.partition("\n")[0].removeprefix("## "))
    return terms
