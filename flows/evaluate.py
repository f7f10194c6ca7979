"""Flow: judge the models of a campaign on one labelled test set."""

from __future__ import annotations

from prefect import flow

from fire_core.campaign.reference import CampaignRef
from tasks.evaluate import evaluate_model, tabulate_errors


@flow(name="fire-evaluate", flow_run_name="{ref.name}-evaluate-{round_}")
def evaluate_flow(ref: CampaignRef, round_: int, kinds: list[str]) -> None:
    """Measure errors, forgetting and stability of each kind of model."""
    tabulate_errors(ref, {kind: evaluate_model(ref, round_, kind) for kind in kinds})
