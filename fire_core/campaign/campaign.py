"""A campaign and its rounds: the verbs of the method, in plain Python.

Example
-------
Run a campaign from its file to its report, without a server::

    from fire_core import Campaign

    with Campaign.open("my.yaml") as campaign:
        print(campaign.run())
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from fire_core.campaign import driver, order, spending
from fire_core.campaign.names import (
    EXPLORE,
    FIRE,
    PRE_FINE_TUNED,
    SELECTED,
    TEST,
    judged_models,
    member_kind,
    model_name,
)
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.state import PATIENCE_S, CampaignState
from fire_core.campaign.steps import (
    exploring,
    exporting,
    gates,
    judging,
    labels,
    outlasting,
    perturbing,
    reporting,
    rounds,
    selecting,
    train_child,
    training,
    uncertainty,
)
from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_to_json, load_campaign
from fire_core.records import Split
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fire_core.backbones.export import ExportFormat, ExportResult
    from fire_core.campaign.kinds import Judgement, NeutralCopy
    from fire_core.campaign.observer import Observer
    from fire_core.campaign.policy import RoundSummary
    from fire_core.campaign.spending import Terms
    from fire_core.records import GateResult, LabelledStructure
    from fire_core.storage.promotions import Signature

POLL_S: Final = 2.0


def register_campaign(
    config: CampaignConfig, observer: Observer | None = None
) -> CampaignRef:
    """Enter a campaign in its store, or find it there unchanged.

    Raises
    ------
    StoreError
        The name is taken by a campaign with another configuration.
    """
    ref = CampaignRef(name=config.name, db=config.store.url, blobs=config.store.blobs)
    with Store.open(ref.db, ref.blobs, patience_s=PATIENCE_S) as store:
        store.campaigns.open(config.name, config_to_json(config))
        campaign = CampaignState(store, config, ref, observer)
        labels.register_theories(campaign)
    return ref


class Campaign(CampaignState):
    """A campaign with the verbs of the method; see `CampaignState` for its facts."""

    @classmethod
    def open(
        cls, file: str | Path | CampaignConfig, observer: Observer | None = None
    ) -> Self:
        """Enter a campaign in its store, or find it there, and open it.

        Use it as a context, which closes the store, or call `close`.

        Parameters
        ----------
        file
            Campaign file, YAML, or its configuration.
        observer
            Hears of what happens; left out: Python's logging.

        Raises
        ------
        ConfigError
            The file is missing or breaks the schema.
        StoreError
            The name is taken by a campaign with another configuration.
        """
        config = file if isinstance(file, CampaignConfig) else load_campaign(Path(file))
        return cls.find(register_campaign(config, observer), observer)

    def round(self, number: int) -> Round:
        """Return a round; 0 is the pre-fine-tune.

        Raises
        ------
        ConfigError
            The campaign has no such round.
        """
        order.check_round(self, number)
        return Round(self, number)

    def run(self) -> str:
        """Run the campaign, or what is left of it; return the path of its report."""
        return driver.run_campaign(self, LocalSteps(self))

    def perturb(self) -> int:
        """Store the starting structures and their perturbed copies."""
        return perturbing.perturb_structures(self)

    def check_gates(
        self,
        model: str,
        *,
        again: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> list[GateResult]:
        """Return a model's results at the required gates, measured where not known."""
        return gates.check_gates(self, model, again=again, say=say)

    def known_gates(self, model: str) -> list[GateResult]:
        """Return the results that hold for a model as it is; none before a check."""
        return gates.known_gates(self, model)

    def neutral_copy(self, model: str) -> NeutralCopy:
        """Return where a model's neutral weights are, or why there are none."""
        return outlasting.tell_neutral(self.store, self.name, model)

    def promote(
        self, model: str, to: str, results: Sequence[GateResult], signed: Signature
    ) -> None:
        """Promote a model through the gates that the campaign requires."""
        gates.promote(self, model, to, results, signed)

    def export(
        self, model: str, format_: ExportFormat, path: Path, *, dtype: str
    ) -> ExportResult:
        """Write a model for another program, checked on the campaign's structures."""
        return exporting.export_campaign_model(self, model, format_, path, dtype=dtype)

    def report(self, folder: Path | str | None = None) -> Path:
        """Write the report of the last judged round; return its page's path."""
        return reporting.write_campaign_report(self, folder)


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a campaign; 0 is the pre-fine-tune.

    A verb that is called before its turn is refused with a StoreError that names the
    one to call first.
    """

    campaign: Campaign
    number: int

    def price(self, purpose: str = SELECTED) -> Terms:
        """Return how far a choice may be labelled; see `spending.Terms`."""
        return spending.price_labels(self.campaign, self.number, purpose)

    def label(self, purpose: str = SELECTED) -> labels.LabelSummary:
        """Label what is missing of a choice; failures are records, not errors."""
        order.check_choice(self.number, purpose)
        plan = labels.plan_labels(self.campaign, self.number, purpose)
        with ThreadPoolExecutor(max_workers=max(1, plan.lanes)) as pool:
            lanes = [
                pool.submit(
                    labels.run_lane,
                    self.campaign,
                    self.number,
                    purpose,
                    batch=plan.batch,
                    lane=lane + 1,
                )
                for lane in range(plan.lanes)
            ]
        owners = [owner for lane in lanes for owner in lane.result()]
        return labels.count_labels(self.campaign, self.number, purpose, plan, owners)

    def explore(self, purpose: str = EXPLORE) -> int:
        """Run or continue molecular dynamics; return the replicas still alive.

        Where uncertainty leads the campaign, that of the candidates is computed.
        """
        order.check_run(self.number, purpose)
        plan = exploring.plan_run(self.campaign, self.number, purpose)
        alive = exploring.run_dynamics(self.campaign, plan)
        if purpose == EXPLORE:
            uncertainty.score_candidates(self.campaign, plan)
        return alive

    def select(self, purpose: str = EXPLORE) -> int:
        """Choose from a finished run's frames; return how many."""
        order.check_run(self.number, purpose)
        plan = exploring.plan_run(self.campaign, self.number, purpose)
        order.check_frames(self.campaign, plan)
        if purpose == TEST:
            return exploring.choose_test_frames(self.campaign, plan)
        return selecting.select_candidates(self.campaign, plan)

    def pre_fine_tune(self) -> str:
        """Train the model that explores first; return its sha256."""
        return self.fine_tune(PRE_FINE_TUNED)

    def fine_tune(self, kind: str = FIRE) -> str:
        """Train a kind of model on all labels so far; return its sha256.

        Before a round's labels are learnt, they are compared with what was expected.
        """
        order.check_training(self.campaign, self.number, kind)
        return _train(self.campaign, self.number, kind)

    def train_committee(self) -> list[str]:
        """Train every member of the committee; return their sha256."""
        order.check_training(self.campaign, self.number, member_kind(1))
        width = train_child.committee_width(self.campaign)
        n_members = self.campaign.config.committee.members
        with ThreadPoolExecutor(max_workers=width) as pool:
            members = [
                pool.submit(
                    training.train_member, self.campaign, self.number, kind, width
                )
                for kind in map(member_kind, range(1, n_members + 1))
            ]
        return [member.result() for member in members]

    def judge(self, kinds: Sequence[str] | None = None) -> dict[str, Judgement]:
        """Judge kinds of models, by default all, on the independent trajectory."""
        known = list(judged_models(self.campaign.config, self.number))
        wanted = known if kinds is None else kinds
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        for kind in wanted:
            order.check_word("a kind of model", kind, known)
        order.check_test(self.campaign, self.number)
        return {k: judging.judge_model(self.campaign, self.number, k) for k in wanted}

    def report(self, folder: Path | str | None = None) -> Path:
        """Write the report of the campaign up to this round; return its page."""
        return reporting.write_campaign_report(self.campaign, folder, self.number)

    def summary(self) -> RoundSummary:
        """Return what the round chose to train on, and how its labels ended."""
        return rounds.summarise_round(self.campaign, self.number)

    def is_chosen(self, purpose: str = SELECTED) -> bool:
        """Return whether a choice was made."""
        return self.campaign.is_chosen(self.number, purpose)

    def is_labelled(self, purpose: str = SELECTED) -> bool:
        """Return whether every label that may be paid for is settled."""
        return self.campaign.is_labelled(self.number, purpose)

    def labelled(self, what: str | Split = SELECTED) -> list[LabelledStructure]:
        """Return labelled structures of the round.

        Parameters
        ----------
        what
            A choice, such as `selected` or `test`; or `Split.TRAIN` or `Split.VALID`:
            that part of what the round's model was fine-tuned on, all rounds before
            included.
        """
        if isinstance(what, Split) and what is not Split.TEST:
            kind = FIRE if self.number else PRE_FINE_TUNED
            return self.campaign.part(model_name(kind, self.number), what)
        return self.campaign.labelled(self.number, what)


def _train(campaign: Campaign, round_: int, kind: str) -> str:
    """Compare new labels with what was expected of them, then learn them."""
    if kind == FIRE:
        uncertainty.assess_new_labels(campaign, round_)
    return training.train_model(campaign, round_, kind)


class LocalSteps:
    """The steps of a campaign in this process; see `driver.Steps`."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign

    def perturb(self) -> None:
        """Store the starting structures and their perturbed copies."""
        self._campaign.perturb()

    def price(self, round_: int, purpose: str) -> Terms:
        """Return how far a choice may be labelled; wait where a person is asked."""
        terms = self._campaign.round(round_).price(purpose)
        if terms.state == "pending":
            name = self._campaign.name
            self._campaign.observer.warning(
                f"waiting for approval: `fire campaign approve {name}` in another "
                "terminal"
            )
        while terms.state == "pending":
            time.sleep(POLL_S)
            terms = spending.read_terms(self._campaign, round_, purpose)
        return terms

    def label(self, round_: int, purpose: str) -> None:
        """Label what is missing of a choice."""
        self._campaign.round(round_).label(purpose)

    def explore(self, round_: int, purpose: str) -> None:
        """Run molecular dynamics."""
        self._campaign.round(round_).explore(purpose)

    def select(self, round_: int, purpose: str) -> None:
        """Choose from a run's frames."""
        self._campaign.round(round_).select(purpose)

    def train(self, round_: int, kind: str) -> None:
        """Train a kind of model; labels that are tried again do not hold it up."""
        _train(self._campaign, round_, kind)

    def train_committee(self, round_: int) -> None:
        """Train every member of the committee."""
        self._campaign.round(round_).train_committee()

    def evaluate(self, round_: int, kinds: Sequence[str]) -> None:
        """Judge kinds of models."""
        self._campaign.round(round_).judge(kinds)

    def report(self, round_: int) -> str:
        """Write the report; return the path of its page."""
        return str(self._campaign.round(round_).report())
