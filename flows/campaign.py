"""Flow of flows: one campaign from a system to a judged, fine-tuned model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import flow, get_run_logger

from fire_core.campaign import (
    EXPLORE,
    FIRE,
    PERTURB,
    PRE_FINE_TUNED,
    SELECTED,
    TEST,
    VANILLA,
    ZERO_SHOT,
    Action,
    RoundSummary,
    decide,
    last_trained,
)
from fire_core.config.campaign import CampaignConfig
from fire_core.errors import FireError
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
from tasks.committee import list_members
from tasks.label import ATOMS
from tasks.missing import (
    is_chosen,
    is_labelled,
    is_trained,
    keep_decision,
    summarise_round,
)
from tasks.prepare import register_campaign
from tasks.report import report_folder
from tasks.spending import price_labels

if TYPE_CHECKING:
    from tasks.context import CampaignRef


@flow(name="fire-campaign", flow_run_name="{config.name}")
def campaign_flow(config: CampaignConfig) -> str:
    """Run a campaign, or what is left of it; return the path of its report.

    Every step asks the store what is missing, so starting a killed campaign again
    repeats at most the unit that was running. Started from its deployment, the
    campaign sends its steps to the pools.
    """
    tag_campaign(config.name)
    ref = register_campaign(config)
    history = [_pre_fine_tune(ref, config)]
    while (decision := decide(history, config)).action is Action.CONTINUE:
        history.append(_run_round(ref, config, len(history)))
    get_run_logger().info("%s: %s", decision.action, decision.reason)
    keep_decision(ref, decision)
    round_ = last_trained(history)
    if decision.action is Action.STOP or round_ is None:
        raise FireError(decision.reason)
    return _judge(ref, config, round_)


def _pre_fine_tune(ref: CampaignRef, config: CampaignConfig) -> RoundSummary:
    """Round 0: perturb, label, pre-fine-tune."""
    if not is_chosen(ref, 0, PERTURB):
        run_step(perturb_flow, ref)
    if is_chosen(ref, 0, ATOMS):
        _label(ref, config, 0, ATOMS)
    summary = summarise_round(ref, 0, _label(ref, config, 0, PERTURB))
    if summary.labels_done:
        _train(ref, 0, PRE_FINE_TUNED)
    return summary


def _run_round(ref: CampaignRef, config: CampaignConfig, round_: int) -> RoundSummary:
    """Explore, select, label, train."""
    _choose(ref, round_, EXPLORE, SELECTED)
    cut = _label(ref, config, round_, SELECTED)
    if summarise_round(ref, round_, cut).labels_done:
        _train(ref, round_, FIRE)
        if not is_trained(ref, round_, list_members(ref)):
            run_step(committee_flow, ref, round_=round_)
    return summarise_round(ref, round_, cut)


def _choose(ref: CampaignRef, round_: int, run: str, choice: str) -> None:
    """Run molecular dynamics and choose from its frames."""
    if not is_chosen(ref, round_, choice):
        run_step(explore_flow, ref, round_=round_, purpose=run)
        run_step(select_flow, ref, round_=round_, purpose=run)


def _label(
    ref: CampaignRef, config: CampaignConfig, round_: int, purpose: str
) -> str | None:
    """Label a choice as far as budget and approval go; return what cut it."""
    terms = price_labels(ref, round_, purpose)
    if terms.state == "pending":
        terms = wait_for_approval(ref, round_, purpose)
    if terms.first != 0 and not is_labelled(ref, round_, purpose):
        run_step(
            label_flow,
            ref,
            copies=config.label.machines,
            round_=round_,
            purpose=purpose,
        )
    return terms.cut


def _train(ref: CampaignRef, round_: int, kind: str) -> None:
    if not is_trained(ref, round_, [kind]):
        run_step(train_flow, ref, round_=round_, kind=kind)


def _judge(ref: CampaignRef, config: CampaignConfig, round_: int) -> str:
    """Train the comparison, label an independent trajectory, evaluate, report."""
    kinds = [ZERO_SHOT, PRE_FINE_TUNED]
    if config.evaluate.vanilla:
        _train(ref, round_, VANILLA)
        kinds.append(VANILLA)
    _choose(ref, round_, TEST, TEST)
    cut = _label(ref, config, round_, TEST)
    if summarise_round(ref, round_, cut, TEST).labels_done == 0:
        msg = f"no model can be judged without labels of its test set: {cut}"
        raise FireError(msg)
    run_step(evaluate_flow, ref, round_=round_, kinds=[*kinds, FIRE])
    folder = report_folder(config)
    run_step(report_flow, ref, round_=round_, folder=folder)
    return f"{folder}/report.html"
