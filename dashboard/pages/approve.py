"""Rounds that wait for somebody to approve their labels, and what was decided."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response, status
from fastapi.responses import RedirectResponse

from dashboard.access.guard import need, own_form
from dashboard.access.roles import Right, Visitor
from dashboard.acting import act, pop_message
from dashboard.rendering import render, root_of
from fire_core.campaign.names import PERTURB, SELECTED, TEST
from fire_core.errors import StoreError, StoreUnavailableError
from fire_core.records import ApprovalDecision
from fire_core.storage.approvals import ApprovalState

if TYPE_CHECKING:
    from fire_core.storage.approvals import ApprovalRow
    from fire_core.storage.store import Store

router = APIRouter()
PAGE: Final = 50
MOST_REASON: Final = 1000
PURPOSES: Final = {
    PERTURB: "the perturbed structures, which the pre-fine-tune learns from",
    SELECTED: "what the selection chose from the exploration",
    TEST: "the independent trajectory that judges the models",
}
"""What labels are for, in words."""


class ApprovalChoice(StrEnum):
    """What a person decides."""

    ALL = "all"
    FIRST = "first"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class UnusualStructure:
    """A structure that stands for few candidates; the formula may be unknown."""

    key: str
    formula: str
    n_atoms: int | None
    stands_for: int
    distance: float


@dataclass(frozen=True, slots=True)
class Asked:
    """Labels that wait for approval.

    Attributes
    ----------
    row
        The request.
    what
        What they are for, in words.
    chosen
        Structures of the choice.
    missing
        Those without a label.
    core_hours
        Estimate for the missing ones; None where no label was paid for.
    based_on
        Past labels behind the estimate.
    spent_labels, spent_core_hours
        What the campaign has paid for.
    budget
        Why not all are asked for; None where all are.
    oddest
        Structures to look at first.
    """

    row: ApprovalRow
    what: str
    chosen: int
    missing: int
    core_hours: float | None
    based_on: int
    spent_labels: int
    spent_core_hours: float
    budget: str | None
    oddest: list[UnusualStructure]


@router.get("/approve")
def show(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.SEE))],
    page: int = 1,
) -> Response:
    """Show what waits, oldest first, and what was decided, newest first."""
    store: Store = request.app.state.store()
    rows = store.approvals.list()
    pending = [row for row in rows if row.state is ApprovalState.PENDING]
    decided = [row for row in rows if row.state is not ApprovalState.PENDING]
    decided.sort(key=lambda row: -(row.decided_at or 0.0))
    first = PAGE * (max(page, 1) - 1)
    return render(
        request,
        "approve",
        visitor=visitor,
        told=pop_message(request),
        pending=[read_asked(store, row) for row in pending],
        decided=decided[first : first + PAGE],
        page=max(page, 1),
        more=len(decided) > first + PAGE,
        total=len(decided),
    )


@router.post("/approve/{campaign}/{round_}/{purpose}", dependencies=[Depends(own_form)])
def decide(  # noqa: PLR0913, PLR0917 - each is a part of the address or the form
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.APPROVE))],
    campaign: str,
    round_: int,
    purpose: str,
    what: Annotated[ApprovalChoice, Form()],
    first: Annotated[str, Form(max_length=9)] = "",
    reason: Annotated[str, Form(max_length=MOST_REASON)] = "",
) -> Response:
    """Decide on labels; whoever comes second is told who was first."""
    store: Store = request.app.state.store()
    decided = ApprovalDecision(count_labels(what, first), visitor.name, reason.strip())

    def work() -> str:
        row = store.approvals.decide(campaign, round_, purpose, decided)
        return tell_decision(row)

    act(request, visitor, Right.APPROVE, f"{campaign}/{round_}/{purpose}", work)
    return RedirectResponse(f"{root_of(request)}/approve", 303)


def count_labels(what: ApprovalChoice, first: str) -> int | None:
    """Return how many labels are approved; None: all."""
    if what is ApprovalChoice.ALL:
        return None
    if what is ApprovalChoice.REJECT:
        return 0
    if not (first.strip().isascii() and first.strip().isdigit()):
        raise HTTPException(
            status.HTTP_422_UNPROCESSABLE_CONTENT,
            f"expected how many labels to approve, a whole number, got {first!r}",
        )
    return int(first)


def tell_decision(row: ApprovalRow) -> str:
    """Return a decision as a sentence."""
    which = f"labels of {row.campaign}, round {row.round}, {row.purpose}"
    if row.state is ApprovalState.REJECTED:
        return f"The {row.n_asked} {which} are rejected; it ends with what it has."
    return (
        f"{row.n_approved} of {row.n_asked} {which} are approved; it goes on within "
        "some seconds."
    )


def read_asked(store: Store, row: ApprovalRow) -> Asked:
    """Return a request with its price."""
    price: dict[str, Any] = json.loads(row.price_json)
    return Asked(
        row=row,
        what=PURPOSES.get(row.purpose, row.purpose.replace("_", " ")),
        chosen=price.get("chosen", row.n_asked),
        missing=price.get("missing", row.n_asked),
        core_hours=price.get("core_hours"),
        based_on=price.get("based_on", 0),
        spent_labels=price.get("spent_labels", 0),
        spent_core_hours=price.get("spent_core_hours", 0.0),
        budget=price.get("budget"),
        oddest=read_oddest(store, price.get("oddest", [])),
    )


def read_oddest(store: Store, entries: list[dict[str, Any]]) -> list[UnusualStructure]:
    """Return the oddest structures with what they are."""
    keys = [entry["structure"] for entry in entries]
    try:
        names: list[tuple[str, int | None]] = [
            (atoms.get_chemical_formula(), len(atoms))
            for atoms in store.structures.get(keys)
        ]
    except StoreUnavailableError:
        raise
    except StoreError:  # a store that was copied without them still has the price
        names = [("", None) for _ in keys]
    return [
        UnusualStructure(
            entry["structure"], *name, entry["stands_for"], entry["distance"]
        )
        for entry, name in zip(entries, names, strict=True)
    ]
