"""The read-only JSON over the store, for scripts; version 1, described by OpenAPI.

What changes something goes through Prefect's own API, or the console.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.prefect_api import last_campaign_runs, prefect_address
from dashboard.rendering import render
from fire_core.campaign.choices import choice_to_dict, read_choice
from fire_core.campaign.views.overview import read_decision, read_lines
from fire_core.campaign.views.results import read_judgements
from fire_core.config.campaign import STUDY_PREFIX
from fire_core.errors import StoreError
from fire_core.records import LabelState
from fire_core.storage.structure_pages import StructureFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.storage.store import Store

MOST: Final = 500
PREFIX: Final = "/api/v1"
Json = dict[str, Any]
Seeing = Depends(need(Right.SEE))
Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows of this page.")]


def create_api(parent: FastAPI) -> FastAPI:
    """Return the API, which shares store and door with the pages."""
    api = FastAPI(
        title="FIRE",
        version="1",
        description=(
            "Read-only: campaigns, structures, labels, models and properties of a "
            "store. Send `Authorization: Bearer TOKEN` with a token of `fire people "
            "token NAME`. Times are seconds since 1970, energies eV, forces eV/Å."
        ),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Seeing],
    )
    api.state = parent.state
    for path, answer in ROUTES.items():
        api.get(path, tags=["store"])(answer)

    @api.get("/openapi.json", include_in_schema=False)
    def schema(request: Request) -> Json:
        """Describe the API to a program."""
        found = api.openapi()
        return found | {"servers": [{"url": request.scope["root_path"]}]}

    @api.get("/docs", include_in_schema=False)
    def docs(
        request: Request, visitor: Annotated[Visitor, Depends(need(Right.SEE))]
    ) -> Response:
        """Describe the API to a person."""
        return render(
            request, "api", visitor=visitor, live=False, schema=api.openapi(),
            base=request.scope["root_path"],
        )  # fmt: skip

    return api


def _store(request: Request) -> Store:
    store: Store = request.app.state.store()
    return store


def campaigns(
    request: Request, limit: Limit = 100, offset: Annotated[int, Query(ge=0)] = 0
) -> list[Json]:
    """Return campaigns, newest first: state, models, hours."""
    store = _store(request)
    rows = [
        row
        for row in reversed(store.campaigns.list())
        if not row.name.startswith(STUDY_PREFIX)
    ]
    runs = last_campaign_runs(prefect_address())
    lines = read_lines(store, rows[offset : offset + limit], runs)
    return [asdict(line) for line in lines]


def campaign(request: Request, name: str) -> Json:
    """Return one campaign with its errors, decision and configuration."""
    store = _store(request)
    row = store.campaigns.get(name)
    if row is None:
        raise HTTPException(404, f"no campaign {name!r} in this store")
    line = read_lines(store, [row], last_campaign_runs(prefect_address()))[0]
    return asdict(line) | {
        "decision": read_decision(store, name),
        "errors": {
            kind: asdict(found)
            for kind, found in read_judgements(store, name, line.round).items()
        },
        "usage": [asdict(used) for used in store.usage.list(name)],
        "choices": [asdict(c) for c in store.selections.sizes() if c.campaign == name],
        "config": json.loads(row.config_json),
    }


def picks(request: Request, name: str, number: int) -> Json:
    """Return the structures that a round chose, in order, and why each was."""
    found = read_choice(_store(request), name, number)
    if found is None:
        raise HTTPException(404, f"{name!r} has chosen nothing in round {number}")
    return {
        "method": found.method,
        "keys": [pick.key for pick in found.picks],
        "picks": choice_to_dict(found)["picks"] if found.is_explained else [],
    }


def _wanted(
    formula: Annotated[str | None, Query(description="Such as Cl4Li4.")] = None,
    element: Annotated[
        list[str] | None, Query(description="All of these; repeat it.")
    ] = None,
    least: Annotated[int | None, Query(description="Atoms, at least.")] = None,
    most: Annotated[int | None, Query(description="Atoms, at most.")] = None,
    campaign: Annotated[str | None, Query(description="Chosen by it.")] = None,
    state: Annotated[LabelState | None, Query(description="Of a label.")] = None,
) -> StructureFilter:
    return StructureFilter(formula, tuple(element or ()), least, most, campaign, state)


def structures(
    request: Request,
    wanted: Annotated[StructureFilter, Depends(_wanted)],
    limit: Limit = 100,
    after_time: Annotated[
        float | None,
        Query(description="created_at of the last row of the page before."),
    ] = None,
    after_key: Annotated[str | None, Query(description="Its key.")] = None,
) -> list[Json]:
    """Return structures, newest first."""
    after = None
    if after_time is not None and after_key is not None:
        after = (after_time, after_key)
    found = _store(request).structures.find(wanted, after=after, most=limit)
    return [asdict(line) for line in found]


def structure(request: Request, key: str) -> Json:
    """Return a structure with its labels and all that is known of it."""
    store = _store(request)
    try:
        story = store.structures.describe(key)
    except StoreError as error:
        raise HTTPException(404, str(error)) from error
    atoms = store.structures.get([story.line.key])[0]
    facts = asdict(story)
    for label in facts["labels"]:
        done = store.labels.get([story.line.key], label["theory"])
        for found in done.values():
            label["energy"] = found.energy
            label["forces"] = found.forces.tolist()
            label["stress"] = None if found.stress is None else found.stress.tolist()
    return facts | {
        "symbols": atoms.get_chemical_symbols(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def theories(request: Request) -> list[Json]:
    """Return theory levels with their labels by state."""
    store = _store(request)
    return [
        {
            "fingerprint": fingerprint,
            "code": code,
            "version": version,
            "settings": json.loads(settings),
            "labels": {s.value: n for s, n in store.labels.counts(fingerprint).items()},
        }
        for fingerprint, code, version, settings in store.theories.list()
    ]


def labels(
    request: Request,
    theory: str,
    state: LabelState = LabelState.DONE,
    limit: Limit = 100,
    before: int | None = None,
) -> list[Json]:
    """Return labels of a theory in a state, latest first, without their arrays."""
    found = _store(request).labels.browse(theory, state, before=before, most=limit)
    return [asdict(row) for row in found]


def models(request: Request, campaign: str | None = None) -> list[Json]:
    """Return models with their states and the sha256 of their files."""
    store = _store(request)
    names = [campaign] if campaign else [row.name for row in store.campaigns.list()]
    return [
        {"campaign": name}
        | asdict(model)
        | {"config_json": json.loads(model.config_json)}
        for name in names
        for model in store.models.list(name)
    ]


def approvals(request: Request) -> list[Json]:
    """Return requests for labels, oldest first, decided or not."""
    return [
        asdict(row) | {"price_json": json.loads(row.price_json)}
        for row in _store(request).approvals.list()
    ]


def properties(
    request: Request,
    kind: str | None = None,
    subject: str | None = None,
    limit: Limit = 100,
    before: float | None = None,
) -> list[Json]:
    """Return measured properties with their numbers, newest first."""
    found = _store(request).properties.browse(
        kind=kind, subject=subject, before=before, most=limit
    )
    return [asdict(line) for line in found]


ROUTES: Final[dict[str, Callable[..., Any]]] = {
    "/campaigns": campaigns,
    "/campaigns/{name}": campaign,
    "/campaigns/{name}/rounds/{number}/picks": picks,
    "/structures": structures,
    "/structures/{key}": structure,
    "/theories": theories,
    "/labels": labels,
    "/models": models,
    "/approvals": approvals,
    "/properties": properties,
}
