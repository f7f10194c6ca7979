"""Budget and approval as a campaign meets them, in a store with real labels."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from ase.build import bulk
from prefect import flow

from fire_core.campaign.names import SELECTED
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.spending import Terms, price_labels
from fire_core.campaign.state import CampaignState
from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_to_json
from fire_core.config.theory import LennardJonesTheory
from fire_core.errors import FireError
from fire_core.labelling.codes import lennard_jones
from fire_core.labelling.theory import theory_from_config
from fire_core.records import Decided
from fire_core.storage.approvals import ApprovalState
from fire_core.storage.claims import LeaseTerms
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from flows import approval
from flows.approval import wait_for_approval
from flows.campaign import campaign_flow
from tasks.observer import observed
from tests.campaign.conftest import TINY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase import Atoms

pytestmark = pytest.mark.usefixtures("prefect_server")

THEORY = LennardJonesTheory()
N = 8
PAID = 2  # of them, for a core-hour each


def cell(number: int) -> Atoms:
    atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    atoms.rattle(0.05, seed=number)
    return atoms


class Campaign:
    """A campaign whose round 1 has chosen `N` structures, the first `PAID` labelled."""

    def __init__(self, folder: Path) -> None:
        self.url, self.blobs = f"sqlite:///{folder}/fire.db", str(folder / "blobs")
        self.ref = CampaignRef(name="tiny", db=self.url, blobs=self.blobs)
        self.store = Store.open(self.url, self.blobs)

    def configure(self, **changes: Any) -> CampaignConfig:
        fixed = {"theory": THEORY, "store": {"url": self.url, "blobs": self.blobs}}
        config = CampaignConfig.model_validate(TINY | fixed | changes)
        self.store.campaigns.open("tiny", config_to_json(config))
        return config

    def choose(self) -> None:
        theory = theory_from_config(THEORY)
        facts = (theory.code, theory.version, theory.settings_json)
        self.store.theories.add(theory.fingerprint, *facts)
        frames = [cell(n) for n in range(N)]
        keys = self.store.structures.add(frames, source="test")
        row = SelectionRow("soap-kmeans", keys)
        self.store.selections.save("tiny", 1, SELECTED, row)
        self.store.labels.want(keys[:PAID], theory.fingerprint)
        terms = LeaseTerms(60.0, 3)
        for claim in self.store.labels.claim(
            theory.fingerprint, "paid", terms=terms, limit=PAID
        ):
            (atoms,) = self.store.structures.get([claim.key])
            label = lennard_jones.compute(THEORY, atoms)
            self.store.labels.finish(claim.label_id, "paid", label, core_seconds=3600.0)

    def terms(self) -> Terms:
        with CampaignState.find(self.ref) as campaign:
            return price_labels(campaign, 1, SELECTED)


@flow(name="wait")
def wait_flow(ref: CampaignRef) -> Terms:
    with observed(ref) as campaign:
        return wait_for_approval(campaign, 1, SELECTED)


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Campaign]:
    made = Campaign(tmp_path)
    yield made
    made.store.close()


def test_without_limits_nobody_is_asked(campaign: Campaign) -> None:
    campaign.configure()
    campaign.choose()
    assert campaign.terms() == Terms(ApprovalState.APPROVED, None, None)
    assert campaign.store.approvals.list() == []


def test_a_budget_cuts_and_a_grown_one_lets_go(campaign: Campaign) -> None:
    # 6 labels less 2 paid less 3 kept for the test set: the first missing one.
    campaign.configure(budget={"labels": 6})
    campaign.choose()
    terms = campaign.terms()
    assert (terms.state, terms.first) == (ApprovalState.APPROVED, PAID + 1)
    assert terms.cut is not None
    assert "3 of 8 labels were approved by budget" in terms.cut
    assert "budget.labels = 6: 2 are spent, 3 kept for the test set" in terms.cut
    # 9 core-hours less 2 spent less 3 kept, a core-hour each: four more.
    campaign.configure(budget={"core_hours": 9})
    assert campaign.terms().first == PAID + 4
    campaign.configure(budget={"core_hours": 1})  # what is paid for stays
    assert campaign.terms().first == PAID
    campaign.configure(budget={"labels": 50})
    assert campaign.terms() == Terms(ApprovalState.APPROVED, N, None)


def test_a_person_is_asked_for_what_the_budget_allows(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.configure(approval={"ask": "always"}, budget={"labels": 5})
    campaign.choose()
    # Nothing is affordable: there is nothing to ask for.
    terms = campaign.terms()
    assert (terms.state, terms.first) == (ApprovalState.APPROVED, PAID)
    # A grown budget does not stand for the person.
    campaign.configure(approval={"ask": "always"}, budget={"labels": 7})
    assert campaign.terms() == Terms(ApprovalState.PENDING, None, None)
    (row,) = campaign.store.approvals.list()
    assert row.n_asked == PAID + 2
    price = json.loads(row.price_json)
    assert (price["missing"], price["core_hours"], price["based_on"]) == (6, 6.0, 2)

    def decide(_seconds: float) -> None:
        """Decide while the campaign waits between two looks."""
        word = Decided(PAID + 1, "anna", "the last one is odd")
        campaign.store.approvals.decide("tiny", 1, SELECTED, word)

    with monkeypatch.context() as patch:
        patch.setattr(approval, "time", SimpleNamespace(sleep=decide))
        terms = wait_flow(campaign.ref)
    assert (terms.state, terms.first) == (ApprovalState.APPROVED, PAID + 1)
    assert terms.cut is not None
    assert terms.cut.startswith("3 of 4 labels were approved by anna (the last one is")
    assert "budget.labels = 7" in terms.cut
    # What a person decided outlives a restart and a larger budget.
    campaign.configure(approval={"ask": "always"}, budget={"labels": 99})
    assert campaign.terms().first == PAID + 1


def test_cheap_labels_are_not_asked_for(campaign: Campaign) -> None:
    campaign.configure(approval={"ask": "always", "above_core_hours": 6.5})
    campaign.choose()
    assert campaign.terms().state is ApprovalState.APPROVED
    campaign.configure(approval={"ask": "always", "above_core_hours": 5.5})
    assert campaign.terms().state is ApprovalState.PENDING


def test_a_campaign_that_can_afford_nothing_says_so(campaign: Campaign) -> None:
    config = campaign.configure(budget={"labels": TINY["evaluate"]["n"]})
    with pytest.raises(FireError, match=r"budget\.labels = 3: 0 are spent, 3 kept"):
        campaign_flow(config)
    assert campaign.store.labels.counts() == {}
