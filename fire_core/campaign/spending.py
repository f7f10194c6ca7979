"""What the labels of a choice will cost, whether the budget and a person allow them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from fire_core.campaign.names import ATOMS, PERTURB, SELECTED, TEST
from fire_core.campaign.pricing import (
    HOUR,
    Spent,
    allow,
    estimate_core_seconds,
    must_ask,
)
from fire_core.records import Decided, LabelState
from fire_core.storage.approvals import BUDGET, ApprovalState
from fire_core.storage.selections import Choice

if TYPE_CHECKING:
    from fire_core.campaign.state import CampaignState
    from fire_core.storage.approvals import ApprovalRow
    from fire_core.storage.label_queries import LabelSpending

ODDEST: Final = 5


@dataclass(frozen=True, slots=True)
class Price:
    """What the labels of one choice would cost.

    Attributes
    ----------
    chosen, missing
        Structures of the choice, and those without a label so far.
    core_hours
        Estimate for the missing ones; None where no label of the theory was paid for.
    based_on
        Past labels behind the estimate.
    spent_labels, spent_core_hours
        What the campaign has paid for.
    oddest
        Of the missing structures those that stand for the fewest candidates.
    """

    chosen: int
    missing: int
    core_hours: float | None
    based_on: int
    spent_labels: int
    spent_core_hours: float
    oddest: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Terms:
    """Whether and how far a choice is labelled.

    Attributes
    ----------
    state
        `approved` also where nobody needs to be asked.
    first
        Only the first so many structures; None: all.
    cut
        Why not all; None where all are.
    """

    state: ApprovalState
    first: int | None
    cut: str | None


def price_labels(campaign: CampaignState, round_: int, purpose: str) -> Terms:
    """Price the missing labels, cut them to the budget, ask where a person must be."""
    store, config, name = campaign.store, campaign.config, campaign.name
    known = store.approvals.get(name, round_, purpose)
    if known is not None and known.actor != BUDGET:
        return terms_of(known)
    price, sizes = _price(campaign, round_, purpose)
    seconds = None if price.core_hours is None else price.core_hours * HOUR
    reserve = 0 if purpose == TEST else config.evaluate.n
    spent = Spent(price.spent_labels, price.spent_core_hours * HOUR)
    allowed = allow(price.missing, seconds, spent, config.budget, reserve)
    first = _prefix(sizes, allowed.n)
    if allowed.n and must_ask(config.approval, purpose, seconds):
        text = json.dumps(asdict(price) | {"budget": allowed.reason})
        row = store.approvals.ask(name, round_, purpose, first, text)
        return terms_of(row)
    if allowed.reason is None and known is None:
        return Terms(ApprovalState.APPROVED, None, None)
    # The budget cuts, or has grown since it did.
    decided = Decided(first, BUDGET, allowed.reason or "")
    row = store.approvals.limit(name, round_, purpose, price.chosen, decided)
    terms = terms_of(row)
    if terms.cut is not None:
        campaign.observer.warning(terms.cut)
    return terms


def terms_of(row: ApprovalRow) -> Terms:
    """Return what a request allows."""
    if row.state is ApprovalState.PENDING:
        return Terms(row.state, None, None)
    whys = [row.reason, json.loads(row.price_json).get("budget")]
    why = "; ".join(text for text in whys if text)
    cut = None
    if row.state is ApprovalState.REJECTED:
        cut = f"{row.n_asked} labels were rejected by {row.actor}"
    elif row.n_approved != row.n_asked or whys[1]:
        cut = f"{row.n_approved} of {row.n_asked} labels were approved by {row.actor}"
    if cut is not None and why:
        cut += f" ({why})"
    return Terms(row.state, row.n_approved, cut)


def read_terms(campaign: CampaignState, round_: int, purpose: str) -> Terms:
    """Return how a request stands now."""
    row = read_approval(campaign, round_, purpose)
    return Terms(ApprovalState.APPROVED, None, None) if row is None else terms_of(row)


def read_approval(
    campaign: CampaignState, round_: int, purpose: str
) -> ApprovalRow | None:
    """Return a request as it is stored; None where nobody was asked."""
    return campaign.store.approvals.get(campaign.name, round_, purpose)


def read_decision(campaign: CampaignState, round_: int, purpose: str) -> Decided | None:
    """Return what was decided on a request; None where nothing is, or nobody asked."""
    row = read_approval(campaign, round_, purpose)
    if row is None or row.state is ApprovalState.PENDING:
        return None
    return decided_of(row)


def decided_of(row: ApprovalRow) -> Decided:
    """Return the decision of a request that is not pending."""
    return Decided(row.n_approved, row.actor or "", row.reason or "")


def count_asked(campaign: CampaignState, round_: int, purpose: str) -> int:
    """Return how many structures a request is about."""
    row = read_approval(campaign, round_, purpose)
    return 0 if row is None else row.n_asked


def decide_labels(
    campaign: CampaignState, round_: int, purpose: str, decided: Decided
) -> Terms:
    """Write a person's decision unless there is one already; return what holds."""
    store, name = campaign.store, campaign.name
    row = store.approvals.get(name, round_, purpose)
    if row is None or row.state is ApprovalState.PENDING:
        row = store.approvals.decide(name, round_, purpose, decided)
    return terms_of(row)


def describe_request(campaign: CampaignState, round_: int, purpose: str) -> str:
    """Return a pending request as Markdown, with the command that approves it."""
    row = campaign.store.approvals.get(campaign.name, round_, purpose)
    if row is None:
        return ""
    price = json.loads(row.price_json)
    cut = price.pop("budget")
    return "\n".join(_lines(campaign.name, (round_, purpose), Price(**price), row, cut))


def _price(
    campaign: CampaignState, round_: int, purpose: str
) -> tuple[Price, list[int]]:
    """Return the price and, for each chosen structure, 1 if its label is missing."""
    store = campaign.store
    keys, theory = campaign.chosen_keys(round_, purpose), campaign.theory(purpose)
    settled = {
        row.key
        for row in store.labels.rows(theory, keys)
        if row.state in {LabelState.DONE, LabelState.FAILED}
    }
    missing = [key for key in keys if key not in settled]
    history = store.labels.costs(theory)
    sizes = [len(atoms) for atoms in store.structures.get(missing)]
    seconds = estimate_core_seconds(history, sizes)
    spent = _spent(campaign, round_)
    price = Price(
        chosen=len(keys),
        missing=len(missing),
        core_hours=None if seconds is None else seconds / HOUR,
        based_on=sum(cost.count for cost in history),
        spent_labels=sum(part.labels for part in spent),
        spent_core_hours=sum(part.core_seconds for part in spent) / HOUR,
        oddest=_oddest(campaign, (round_, purpose), set(missing)),
    )
    return price, [int(key not in settled) for key in keys]


def _spent(campaign: CampaignState, round_: int) -> list[LabelSpending]:
    """Return what every choice that a campaign made so far has cost."""
    name = campaign.name
    choices = [Choice(name, 0, PERTURB)]
    for number in range(1, round_ + 1):
        choices += [Choice(name, number, p) for p in (SELECTED, TEST)]
    paid = {PERTURB: choices, ATOMS: [Choice(name, 0, ATOMS)]}
    return [
        campaign.store.labels.spending(campaign.theory(purpose), made)
        for purpose, made in paid.items()
    ]


def _prefix(missing: list[int], n: int) -> int:
    """Return how many structures from the front hold at most `n` missing ones."""
    for position, is_missing in enumerate(missing):
        if is_missing and n == 0:
            return position
        n -= is_missing
    return len(missing)


def _oddest(
    campaign: CampaignState, which: tuple[int, str], missing: set[str]
) -> list[dict[str, Any]]:
    row = campaign.store.selections.get(campaign.name, *which)
    if row is None or not row.picks:
        return []
    pairs = [
        (key, pick)
        for key, pick in zip(row.keys, row.picks, strict=True)
        if key in missing
    ]
    pairs.sort(key=lambda pair: (pair[1].cluster_size, -pair[1].distance))
    return [
        {
            "structure": key,
            "stands_for": pick.cluster_size,
            "distance": round(pick.distance, 4),
        }
        for key, pick in pairs[:ODDEST]
    ]


def _lines(
    name: str, which: tuple[int, str], price: Price, row: ApprovalRow, cut: str | None
) -> list[str]:
    round_, purpose = which
    cost = "unknown: no label of this theory was paid for yet"
    if price.core_hours is not None:
        cost = f"{price.core_hours:.3g} core-hours, from {price.based_on} past labels"
    title = f"{price.missing} labels of {purpose}, round {round_}, wait for approval"
    lines = [
        f"## {title}",
        f"- estimated cost of all: {cost}",
        f"- spent so far: {price.spent_labels} labels, "
        f"{price.spent_core_hours:.3g} core-hours",
    ]
    if cut is not None:
        lines.append(f"- asked for are the first {row.n_asked} structures only: {cut}")
    lines.append(
        f"- approve with `fire campaign approve {name}`, or resume this run with "
        "the number of labels"
    )
    if price.oddest:
        lines += [
            *("", "The oddest structures, which stand for the fewest candidates:", ""),
            *("| structure | stands for | distance to centre |", "|---|---|---|"),
        ]
        lines += [
            f"| {o['structure'][:12]} | {o['stands_for']} | {o['distance']} |"
            for o in price.oddest
        ]
    return lines
