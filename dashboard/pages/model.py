"""One model: what is known of it, and what may be done with it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from dashboard.access.guard import need, own_form
from dashboard.access.roles import Right, Visitor
from dashboard.acting import act, note, pop_message
from dashboard.found import need_facts
from dashboard.pages.model_learning import draw_trainings
from dashboard.pages.model_numbers import tabulate
from dashboard.pages.model_parity import read_parity
from dashboard.rendering import render, root_of
from fire_core.campaign.views.models import flatten, read_parents
from fire_core.errors import GateError, StoreError, StoreUnavailableError
from fire_core.records import Split
from fire_core.storage.actions import DONE
from fire_core.storage.promotions import FROM, PRODUCTION, STAGING, Signature

if TYPE_CHECKING:
    from dashboard.pages.model_parity import Parity
    from fire_core.campaign.kinds import Judgement
    from fire_core.campaign.views.models import ModelFacts
    from fire_core.storage.store import Store

router = APIRouter()
MOST_REASON: Final = 1000


class Stage(StrEnum):
    """Where a promotion leads."""

    STAGING = STAGING
    PRODUCTION = PRODUCTION


class ModelForm(StrEnum):
    """Which of a model's files."""

    OWN = "own"
    NEUTRAL = "neutral"


@router.get("/models/{campaign}/{name}")
def show(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.SEE))],
    campaign: str,
    name: str,
) -> Response:
    """Show a model."""
    store: Store = request.app.state.store()
    facts = need_facts(store, campaign, name)
    parity, problem = try_parity(store, facts)
    parts = list(store.datasets.get(campaign, name).values())
    results: list[Judgement | None] = [None, None]
    if facts.judged is not None:
        results = [facts.judged.foundation, facts.judged.result]
    return render(
        request,
        "model",
        visitor=visitor,
        told=pop_message(request),
        facts=facts,
        learning=draw_trainings(store, [facts]),
        parity=parity,
        parity_problem=problem,
        numbers=tabulate(results),
        parents=read_parents(store, facts.row),
        sizes={split.value: parts.count(split) for split in Split if split in parts},
        history=[r for r in store.models.promotions(campaign) if r.model == name],
        stages=[s.value for s in Stage if facts.row.state in FROM[s.value]],
        settings_rows=flatten(facts.training.get("settings", {})),
        others=list_others(store, (campaign, name)),
    )


@router.post("/models/{campaign}/{name}/promote", dependencies=[Depends(own_form)])
def promote(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.PROMOTE))],
    campaign: str,
    name: str,
    to: Annotated[Stage, Form()],
    reason: Annotated[str, Form(max_length=MOST_REASON)] = "",
) -> Response:
    """Promote a model on the gate results that are known; none are measured here."""
    store: Store = request.app.state.store()
    facts = need_facts(store, campaign, name)

    def work() -> str:
        if facts.gates.problem:
            raise StoreError(facts.gates.problem)
        store.models.promote(
            campaign,
            name,
            to.value,
            facts.gates.results,
            required=facts.gates.required,
            signed=Signature(visitor.name, reason.strip()),
        )
        passed = f"{facts.gates.n_passed} of {len(facts.gates.required)}"
        return f"{name} of {campaign} is in {to}; it passed {passed} required gates."

    try:
        act(request, visitor, Right.PROMOTE, f"{campaign}/{name} to {to}", work)
    except GateError:
        return render(
            request,
            "model_refused",
            visitor=visitor,
            facts=facts,
            to=to.value,
            status=409,
        )
    return _back(request, campaign, name)


@router.post("/models/{campaign}/rollback", dependencies=[Depends(own_form)])
def roll_back(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.ROLL_BACK))],
    campaign: str,
    reason: Annotated[str, Form(max_length=MOST_REASON)] = "",
) -> Response:
    """Put the production model before the present one back."""
    store: Store = request.app.state.store()
    found: list[str] = []

    def work() -> str:
        signed = Signature(visitor.name, reason.strip())
        found.append(store.models.rollback(campaign, signed=signed))
        return f"{found[0]} of {campaign} is in production again."

    act(request, visitor, Right.ROLL_BACK, campaign, work)
    return _back(request, campaign, found[0])


@router.get("/models/{campaign}/{name}/download")
def download(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.DOWNLOAD))],
    campaign: str,
    name: str,
    form: ModelForm = ModelForm.OWN,
) -> Response:
    """Return the model's file or its neutral weights, verified."""
    store: Store = request.app.state.store()
    facts = need_facts(store, campaign, name)
    sha, file_name = facts.row.blob_sha, facts.file_name
    if form is ModelForm.NEUTRAL:
        blob = None if facts.neutral is None else facts.neutral.blob
        if blob is None:
            reason = f"{name} of {campaign} has no neutral weights on record"
            raise HTTPException(404, f"{reason}; make them with `fire model export`")
        sha, file_name = blob, facts.neutral_name
    path = store.blobs.path(sha)
    what = (f"{campaign}/{name}", DONE, f"sha256 {sha}")
    note(request, visitor, Right.DOWNLOAD, what)
    return FileResponse(path, filename=file_name, media_type="application/octet-stream")


def try_parity(store: Store, facts: ModelFacts) -> tuple[Parity | None, str]:
    """Return the parity plots, or why there are none; the rest is shown without."""
    try:
        return read_parity(store, facts), ""
    except StoreUnavailableError:
        raise
    except StoreError as error:
        return None, str(error)


def list_others(store: Store, this: tuple[str, str]) -> list[str]:
    """Return CAMPAIGN/NAME of every other model, those of the same campaign first."""
    names = [
        (campaign, name)
        for campaign, models in store.models.states().items()
        for name, _ in models
        if (campaign, name) != this
    ]
    names.sort(key=lambda pair: (pair[0] != this[0], pair))
    return [f"{campaign}/{name}" for campaign, name in names]


def _back(request: Request, campaign: str, name: str) -> Response:
    return RedirectResponse(f"{root_of(request)}/models/{campaign}/{name}", 303)
