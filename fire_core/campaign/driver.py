"""Run a campaign: which step follows which, whoever carries the steps out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fire_core.campaign.kinds import DECISION
from fire_core.campaign.names import (
    ATOMS,
    EXPLORE,
    FIRE,
    PERTURB,
    PRE_FINE_TUNED,
    SELECTED,
    TEST,
    VANILLA,
    ZERO_SHOT,
    member_kind,
)
from fire_core.campaign.policy import Action, RoundSummary, decide, last_trained
from fire_core.campaign.steps.rounds import summarise_round
from fire_core.errors import FireError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.campaign.spending import Terms
    from fire_core.campaign.state import CampaignState


class Steps(Protocol):
    """How the steps of a campaign are carried out: here and now, or on work pools.

    Each returns when its step is done, and leaves its result in the store.
    """

    def perturb(self) -> None:
        """Store the starting structures and their perturbed copies."""

    def price(self, round_: int, purpose: str) -> Terms:
        """Return how far a choice may be labelled, once that is decided."""

    def label(self, round_: int, purpose: str) -> None:
        """Label what is missing of a choice."""

    def explore(self, round_: int, purpose: str) -> None:
        """Run molecular dynamics."""

    def select(self, round_: int, purpose: str) -> None:
        """Choose from a run's frames."""

    def train(self, round_: int, kind: str) -> None:
        """Train a kind of model."""

    def train_committee(self, round_: int) -> None:
        """Train every member of the committee."""

    def evaluate(self, round_: int, kinds: Sequence[str]) -> None:
        """Judge kinds of models."""

    def report(self, round_: int) -> str:
        """Write the report; return the path of its page."""


def run_campaign(campaign: CampaignState, steps: Steps) -> str:
    """Run a campaign, or what is left of it; return the path of its report.

    Every step asks the store what is missing, so starting a killed campaign again
    repeats at most the unit that was running.

    Raises
    ------
    FireError
        Nothing could be trained or judged; the message says why.
    """
    history = [_pre_fine_tune(campaign, steps)]
    config = campaign.config
    while (decision := decide(history, config)).action is Action.CONTINUE:
        history.append(_run_round(campaign, steps, len(history)))
    campaign.observer.info(f"{decision.action}: {decision.reason}")
    campaign.store.evaluations.save(DECISION, campaign.name, decision)
    round_ = last_trained(history)
    if decision.action is Action.STOP or round_ is None:
        raise FireError(decision.reason)
    return _judge(campaign, steps, round_)


def _pre_fine_tune(campaign: CampaignState, steps: Steps) -> RoundSummary:
    """Round 0: perturb, label, pre-fine-tune."""
    if not campaign.is_chosen(0, PERTURB):
        steps.perturb()
    if campaign.is_chosen(0, ATOMS):
        _label(campaign, steps, 0, ATOMS)
    summary = summarise_round(campaign, 0, _label(campaign, steps, 0, PERTURB))
    if summary.labels_done:
        _train(campaign, steps, 0, PRE_FINE_TUNED)
    return summary


def _run_round(campaign: CampaignState, steps: Steps, round_: int) -> RoundSummary:
    """Explore, select, label, train."""
    _choose(campaign, steps, round_, EXPLORE, SELECTED)
    cut = _label(campaign, steps, round_, SELECTED)
    if summarise_round(campaign, round_, cut).labels_done:
        _train(campaign, steps, round_, FIRE)
        n_members = campaign.config.committee.members
        members = [member_kind(n + 1) for n in range(n_members)]
        if not campaign.is_trained(round_, members):
            steps.train_committee(round_)
    return summarise_round(campaign, round_, cut)


def _choose(
    campaign: CampaignState, steps: Steps, round_: int, run: str, choice: str
) -> None:
    """Run molecular dynamics and choose from its frames."""
    if not campaign.is_chosen(round_, choice):
        steps.explore(round_, run)
        steps.select(round_, run)


def _label(
    campaign: CampaignState, steps: Steps, round_: int, purpose: str
) -> str | None:
    """Label a choice as far as budget and approval go; return what cut it."""
    terms = steps.price(round_, purpose)
    if terms.first != 0 and not campaign.is_labelled(round_, purpose):
        steps.label(round_, purpose)
    return terms.cut


def _train(campaign: CampaignState, steps: Steps, round_: int, kind: str) -> None:
    if not campaign.is_trained(round_, [kind]):
        steps.train(round_, kind)


def _judge(campaign: CampaignState, steps: Steps, round_: int) -> str:
    """Train the comparison, label an independent trajectory, evaluate, report."""
    kinds = [ZERO_SHOT, PRE_FINE_TUNED]
    if campaign.config.evaluate.vanilla:
        _train(campaign, steps, round_, VANILLA)
        kinds.append(VANILLA)
    _choose(campaign, steps, round_, TEST, TEST)
    cut = _label(campaign, steps, round_, TEST)
    if summarise_round(campaign, round_, cut, TEST).labels_done == 0:
        msg = f"no model can be judged without labels of its test set: {cut}"
        raise FireError(msg)
    steps.evaluate(round_, [*kinds, FIRE])
    return steps.report(round_)
