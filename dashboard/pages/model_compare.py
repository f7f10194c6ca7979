"""Two models side by side: their numbers, their trainings, what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response, status

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.found import need_facts
from dashboard.pages.model_learning import draw_trainings
from dashboard.pages.model_numbers import tabulate
from dashboard.rendering import render
from fire_core.campaign.views.models import flatten

if TYPE_CHECKING:
    from fire_core.campaign.views.models import ModelFacts
    from fire_core.storage.store import Store

router = APIRouter()


@router.get("/models/compare")
def compare(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.SEE))],
    a: str = "",
    b: str = "",
) -> Response:
    """Show two models, each as CAMPAIGN/NAME."""
    store: Store = request.app.state.store()
    pair = [need_facts(store, *split_name(text)) for text in (a, b)]
    judgements = [None if f.judged is None else f.judged.result for f in pair]
    return render(
        request,
        "model_compare",
        visitor=visitor,
        pair=pair,
        numbers=tabulate(judgements),
        learning=draw_trainings(store, pair if a != b else pair[:1]),
        differing=find_differences(*pair),
        caveat=find_caveat(*pair),
    )


def split_name(text: str) -> tuple[str, str]:
    """Return campaign and model of CAMPAIGN/NAME."""
    campaign, slash, name = text.partition("/")
    if not (campaign and slash and name):
        raise HTTPException(
            status.HTTP_422_UNPROCESSABLE_CONTENT,
            f"expected two models, ?a=CAMPAIGN/NAME&b=CAMPAIGN/NAME, got {text!r}",
        )
    return campaign, name


def find_differences(a: ModelFacts, b: ModelFacts) -> list[tuple[str, str, str]]:
    """Return the settings of the training that differ, with both values."""
    first, second = (flatten(f.training.get("settings", {})) for f in (a, b))
    return [
        (key, first.get(key, "–"), second.get(key, "–"))
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key)
    ]


def find_caveat(a: ModelFacts, b: ModelFacts) -> str:
    """Return why the errors cannot be compared; empty where they can."""
    if a.judged is None or b.judged is None:
        return ""
    if (a.campaign, a.judged.round) != (b.campaign, b.judged.round):
        return (
            "They were judged on different test structures: of their errors only "
            "forgetting may be compared, where both rehearse the same data."
        )
    return ""
