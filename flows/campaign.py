"""Flow of flows: one campaign from a system to a judged, fine-tuned model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import flow, get_run_logger

from fire_core.campaign import (
    FIRE,
    PRE_FINE_TUNED,
    VANILLA,
    ZERO_SHOT,
    Action,
    RoundSummary,
    decide,
)
from fire_core.config.campaign import CampaignConfig
from fire_core.errors import FireError
from flows.committee import committee_flow
from flows.evaluate import evaluate_flow
from flows.explore import explore_flow
from flows.label import label_flow, threads
from flows.perturb import perturb_flow
from flows.report import report_flow
from flows.select import select_flow
from flows.train import train_flow
from tasks.committee import committee_width
from tasks.prepare import register_campaign

if TYPE_CHECKING:
    from tasks.context import CampaignRef
    from tasks.label import LabelSummary


@flow(name="fire-campaign", flow_run_name="{config.name}")
def campaign_flow(config: CampaignConfig) -> str:
    """Run a campaign, or what is left of it; return the path of its report.

    Every step asks the store what is missing, so starting a killed campaign again
    repeats at most the unit that was running.
    """
    ref = register_campaign(config)
    history = [_pre_fine_tune(ref, config)]
    while (decision := decide(history, config)).action is Action.CONTINUE:
        history.append(_run_round(ref, config, len(history)))
    get_run_logger().info("%s: %s", decision.action, decision.reason)
    if decision.action is Action.STOP:
        raise FireError(decision.reason)
    return _judge(ref, config, history[-1].round)


def _pre_fine_tune(ref: CampaignRef, config: CampaignConfig) -> RoundSummary:
    """Round 0: perturb, label, pre-fine-tune."""
    perturb_flow(ref)
    labels = _label(ref, config, 0, "perturb")
    if labels.done:
        train_flow(ref, 0, PRE_FINE_TUNED)
    return RoundSummary(0, labels.done, labels.failed, 0, None)


def _run_round(ref: CampaignRef, config: CampaignConfig, round_: int) -> RoundSummary:
    """Explore, select, label, train."""
    plan = explore_flow(ref, round_, "explore")
    chosen = select_flow(ref, plan)
    labels = _label(ref, config, round_, "selected")
    if labels.done:
        train_flow(ref, round_, FIRE)
        if config.committee.members:
            width = committee_width(ref)
            runner = threads(width)
            committee_flow.with_options(task_runner=runner)(ref, round_, width)
    return RoundSummary(round_, labels.done, labels.failed, chosen, None)


def _label(
    ref: CampaignRef, config: CampaignConfig, round_: int, purpose: str
) -> LabelSummary:
    runner = threads(config.label.workers)
    return label_flow.with_options(task_runner=runner)(ref, round_, purpose)


def _judge(ref: CampaignRef, config: CampaignConfig, round_: int) -> str:
    """Train the comparison, label an independent trajectory, evaluate, report."""
    kinds = [ZERO_SHOT, PRE_FINE_TUNED]
    if config.evaluate.vanilla:
        train_flow(ref, round_, VANILLA)
        kinds.append(VANILLA)
    plan = explore_flow(ref, round_, "test")
    select_flow(ref, plan)
    _label(ref, config, round_, "test")
    evaluate_flow(ref, round_, [*kinds, FIRE])
    folder = config.results or f"results/{config.name}"
    return report_flow(ref, round_, folder)
