"""Flow of flows: one campaign from a system to a judged, fine-tuned model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import flow

from fire_core.campaign.driver import run_campaign
from fire_core.campaign.names import work_queue_of
from fire_core.campaign.steps.reporting import report_folder
from fire_core.config.campaign import CampaignConfig
from flows.approval import wait_for_approval
from flows.committee import committee_flow
from flows.dispatch import run_step, tag_campaign
from flows.evaluate import evaluate_flow
from flows.explore import explore_flow
from flows.label import label_flow
from flows.perturb import perturb_flow
from flows.report import report_flow
from flows.select import select_flow
from flows.train import train_flow
from tasks.observer import observed
from tasks.prepare import register_campaign
from tasks.price import price_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.campaign.campaign import Campaign
    from fire_core.campaign.spending import Terms


@flow(name="fire-campaign", flow_run_name="{config.name}")
def campaign_flow(config: CampaignConfig) -> str:
    """Run a campaign, or what is left of it; return the path of its report.

    Every step asks the store what is missing, so starting a killed campaign again
    repeats at most the unit that was running. Started from its deployment, the
    campaign sends its steps to the pools.
    """
    tag_campaign(config.name)
    with observed(register_campaign(config)) as campaign:
        return run_campaign(campaign, FlowSteps(campaign))


class FlowSteps:
    """The steps of a campaign as flows; see `fire_core.campaign.driver.Steps`."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._ref = campaign.ref
        self._queue = work_queue_of(campaign.config.backbone.name)

    def perturb(self) -> None:
        """Store the starting structures and their perturbed copies."""
        run_step(perturb_flow, self._ref, queue=self._queue)

    def price(self, round_: int, purpose: str) -> Terms:
        """Return how far a choice may be labelled, once that is decided."""
        terms = price_choice(self._ref, round_, purpose)
        if terms.state == "pending":
            terms = wait_for_approval(self._campaign, round_, purpose)
        return terms

    def label(self, round_: int, purpose: str) -> None:
        """Label what is missing of a choice."""
        config = self._campaign.config
        teacher = getattr(config.theory, "backbone", None)
        run_step(
            label_flow,
            self._ref,
            copies=config.label.machines,
            queue=None if teacher is None else work_queue_of(teacher),
            round_=round_,
            purpose=purpose,
        )

    def explore(self, round_: int, purpose: str) -> None:
        """Run molecular dynamics."""
        run_step(
            explore_flow, self._ref, queue=self._queue, round_=round_, purpose=purpose
        )

    def select(self, round_: int, purpose: str) -> None:
        """Choose from a run's frames."""
        run_step(
            select_flow, self._ref, queue=self._queue, round_=round_, purpose=purpose
        )

    def train(self, round_: int, kind: str) -> None:
        """Train a kind of model."""
        run_step(train_flow, self._ref, queue=self._queue, round_=round_, kind=kind)

    def train_committee(self, round_: int) -> None:
        """Train every member of the committee."""
        run_step(committee_flow, self._ref, queue=self._queue, round_=round_)

    def evaluate(self, round_: int, kinds: Sequence[str]) -> None:
        """Judge kinds of models."""
        run_step(
            evaluate_flow,
            self._ref,
            queue=self._queue,
            round_=round_,
            kinds=list(kinds),
        )

    def report(self, round_: int) -> str:
        """Write the report; return the path of its page."""
        folder = report_folder(self._campaign.config)
        run_step(report_flow, self._ref, round_=round_, folder=folder)
        return f"{folder}/report.html"
