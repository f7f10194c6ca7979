"""What the labels of a choice will cost, whether the budget and a person allow them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from fire_core.campaign import PERTURB, SELECTED, TEST
from fire_core.records import Decided, LabelState
from fire_core.spending import HOUR, Spent, allow, estimate_core_seconds, must_ask
from fire_core.storage.approvals import BUDGET, ApprovalState
from fire_core.storage.label_queries import Choice
from tasks.context import CampaignRef, open_campaign
from tasks.label import ATOMS, chosen_keys, theory_fingerprint

if TYPE_CHECKING:
    from fire_core.config.campaign import CampaignConfig
    from fire_core.storage.approvals import ApprovalRow
    from fire_core.storage.label_queries import LabelSpending
    from fire_core.storage.store import Store

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


@task(name="price-labels", task_run_name="price-{purpose}-{round_}")
def price_labels(ref: CampaignRef, round_: int, purpose: str) -> Terms:
    """Price the missing labels, cut them to the budget, ask where a person must be."""
    with open_campaign(ref) as (store, config):
        known = store.get_approval(ref.name, round_, purpose)
        if known is not None and known.actor != BUDGET:
            return terms_of(known)
        price, sizes = _price(store, config, ref, round_, purpose)
        seconds = None if price.core_hours is None else price.core_hours * HOUR
        reserve = 0 if purpose == TEST else config.evaluate.n
        spent = Spent(price.spent_labels, price.spent_core_hours * HOUR)
        allowed = allow(price.missing, seconds, spent, config.budget, reserve)
        first = _prefix(sizes, allowed.n)
        if allowed.n and must_ask(config.approval, purpose, seconds):
            text = json.dumps(asdict(price) | {"budget": allowed.reason})
            row = store.ask_approval(ref.name, round_, purpose, first, text)
            _show(ref, (round_, purpose), price, first, allowed.reason)
            return terms_of(row)
        if allowed.reason is None and known is None:
            return Terms(ApprovalState.APPROVED, None, None)
        # The budget cuts, or has grown since it did.
        decided = Decided(first, BUDGET, allowed.reason or "")
        row = store.cut_labels(ref.name, round_, purpose, price.chosen, decided)
        terms = terms_of(row)
        if terms.cut is not None:
            get_run_logger().warning("%s", terms.cut)
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


def read_terms(ref: CampaignRef, round_: int, purpose: str) -> Terms:
    """Return how a request stands now."""
    row = read_approval(ref, round_, purpose)
    return Terms(ApprovalState.APPROVED, None, None) if row is None else terms_of(row)


def read_approval(ref: CampaignRef, round_: int, purpose: str) -> ApprovalRow | None:
    """Return a request as it is stored; None where nobody was asked."""
    with open_campaign(ref) as (store, _):
        return store.get_approval(ref.name, round_, purpose)


def count_asked(ref: CampaignRef, round_: int, purpose: str) -> int:
    """Return how many structures a request is about."""
    row = read_approval(ref, round_, purpose)
    return 0 if row is None else row.n_asked


def decide_labels(
    ref: CampaignRef, round_: int, purpose: str, decided: Decided
) -> Terms:
    """Write a person's decision unless there is one already; return what holds."""
    with open_campaign(ref) as (store, _):
        row = store.get_approval(ref.name, round_, purpose)
        if row is None or row.state is ApprovalState.PENDING:
            row = store.decide_approval(ref.name, round_, purpose, decided)
        return terms_of(row)


def _price(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int, purpose: str
) -> tuple[Price, list[int]]:
    """Return the price and, for each chosen structure, 1 if its label is missing."""
    keys = chosen_keys(store, ref, round_, purpose)
    theory = theory_fingerprint(store, config, purpose)
    settled = {
        row.key
        for row in store.label_rows(theory, keys)
        if row.state in {LabelState.DONE, LabelState.FAILED}
    }
    missing = [key for key in keys if key not in settled]
    history = store.label_costs(theory)
    sizes = [len(atoms) for atoms in store.get_structures(missing)]
    seconds = estimate_core_seconds(history, sizes)
    spent = _spent(store, config, ref, round_)
    price = Price(
        chosen=len(keys),
        missing=len(missing),
        core_hours=None if seconds is None else seconds / HOUR,
        based_on=sum(cost.count for cost in history),
        spent_labels=sum(part.labels for part in spent),
        spent_core_hours=sum(part.core_seconds for part in spent) / HOUR,
        oddest=_oddest(store, ref, (round_, purpose), set(missing)),
    )
    return price, [int(key not in settled) for key in keys]


def _spent(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int
) -> list[LabelSpending]:
    """Return what every choice that a campaign made so far has cost."""
    choices = [Choice(ref.name, 0, PERTURB)]
    for number in range(1, round_ + 1):
        choices += [Choice(ref.name, number, p) for p in (SELECTED, TEST)]
    paid = {PERTURB: choices, ATOMS: [Choice(ref.name, 0, ATOMS)]}
    return [
        store.label_spending(theory_fingerprint(store, config, purpose), made)
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
    store: Store, ref: CampaignRef, which: tuple[int, str], missing: set[str]
) -> list[dict[str, Any]]:
    row = store.get_selection(ref.name, *which)
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


def _show(
    ref: CampaignRef,
    which: tuple[int, str],
    price: Price,
    first: int,
    cut: str | None,
) -> None:
    """Show the price on the run's page, with the command that approves it."""
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
        lines.append(f"- asked for are the first {first} structures only: {cut}")
    lines.append(
        f"- approve with `fire campaign approve {ref.name}`, or resume this run with "
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
    create_markdown_artifact("\n".join(lines), key=f"approval-{ref.name}")
    get_run_logger().info("%s", title)
