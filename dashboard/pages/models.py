"""The models of all campaigns, by campaign and state."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.acting import pop_message
from dashboard.pages import model, model_compare
from dashboard.rendering import render
from fire_core.campaign.views.models import read_models
from fire_core.config.campaign import STUDY_PREFIX
from fire_core.storage.promotions import STATES

if TYPE_CHECKING:
    from fire_core.campaign.views.models import ModelFacts
    from fire_core.storage.store import Store

router = APIRouter()
PAGE: Final = 50


@router.get("/models")
def show(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.SEE))],
    campaign: str = "",
    state: str = "",
    page: int = 1,
) -> Response:
    """Show the registry, the newest campaign first."""
    store: Store = request.app.state.store()
    states = store.models.states()
    names = list_names(states, campaign, state)
    first = PAGE * (max(page, 1) - 1)
    return render(
        request,
        "models",
        visitor=visitor,
        told=pop_message(request),
        models=read_page(store, names[first : first + PAGE]),
        total=len(names),
        page=max(page, 1),
        more=len(names) > first + PAGE,
        campaigns=sorted(states),
        states=STATES,
        shown=(campaign, state),
    )


def list_names(
    states: dict[str, list[tuple[str, str]]], campaign: str, state: str
) -> list[tuple[str, str]]:
    """Return (campaign, model) of what is looked for, the newest campaign first.

    The cells of studies are shown where one is asked for by name.
    """
    return [
        (owner, name)
        for owner, models in reversed(states.items())
        for name, its_state in models
        if (owner == campaign if campaign else not owner.startswith(STUDY_PREFIX))
        and state in {"", its_state}
    ]


def read_page(store: Store, names: list[tuple[str, str]]) -> list[ModelFacts]:
    """Return the models of a page; a campaign is read once."""
    found: list[ModelFacts] = []
    for campaign, group in groupby(names, key=lambda pair: pair[0]):
        found += read_models(store, campaign, [name for _, name in group])
    return found


router.include_router(model_compare.router)
router.include_router(model.router)
