"""The map of a round's candidates, with what was picked of them and why."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.rendering import render
from fire_core.campaign.choices import read_choice
from fire_core.campaign.views.candidate_map import read_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.campaign.choices import PickedBecause, RoundChoice
    from fire_core.campaign.views.candidate_map import CandidateMap
    from fire_core.storage.store import Store

router = APIRouter()
MOST_SHOWN: Final = 20_000
"""Points that a browser still draws and turns at once."""
SHORT: Final = 16
"""Digits of a key that tell it from all others."""
PLACES: Final = 4
AXES: Final = ("PC1", "PC2")
NUMBER: Final = "number"


@router.get("/map/{campaign}/{round_}")
def show(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.SEE))],
    campaign: str,
    round_: int,
) -> Response:
    """Show the map and the picks of a round."""
    store: Store = request.app.state.store()
    choice = _need_choice(store, campaign, round_)
    drawn = _keep_map(store, campaign, round_)
    shown = [] if drawn is None else shown_points(drawn).tolist()
    places = {point: place for place, point in enumerate(shown)}
    picked: list[int | None] = [] if drawn is None else [*drawn.picked]
    is_known = drawn is not None and bool(drawn.frames)
    return render(
        request,
        "map",
        visitor=visitor,
        live=False,  # the viewer keeps what somebody has turned and chosen
        campaign=campaign,
        round=round_,
        choice=choice,
        picks=[
            (pick, places.get(point))
            for pick, point in zip(
                choice.picks, picked or [None] * len(choice.picks), strict=False
            )
        ],
        has_map=bool(shown) and (is_known or bool(choice.picks)),
        shown=len(shown),
        points=0 if drawn is None else len(drawn.temperatures),
        is_known=is_known,
        explained=(
            (0.0, 0.0)
            if drawn is None
            else drawn.explained[: drawn.coordinates.shape[1]]
        ),
    )


@router.get("/map/{campaign}/{round_}/points.json")
def send_points(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.SEE))],
    campaign: str,
    round_: int,
) -> Response:
    """Send the points of a map; structures are fetched one by one when looked at."""
    del visitor
    store: Store = request.app.state.store()
    choice = _need_choice(store, campaign, round_)
    drawn = _keep_map(store, campaign, round_)
    if drawn is None:
        raise HTTPException(404, f"round {round_} of {campaign!r} has no map")
    headers = {"Cache-Control": "private, max-age=3600"}  # a choice never changes
    name = f"{campaign}, round {round_}"
    return JSONResponse(points_to_view(name, drawn, choice), headers=headers)


@lru_cache(maxsize=4)
def _keep_map(store: Store, campaign: str, round_: int) -> CandidateMap | None:
    """Read the map of a choice that was made; it never changes after that."""
    return read_map(store, campaign, round_)


def _need_choice(store: Store, campaign: str, round_: int) -> RoundChoice:
    choice = read_choice(store, campaign, round_) if 0 <= round_ < 10**6 else None
    if choice is None:
        raise HTTPException(
            404,
            f"round {round_} of {campaign!r} has picked nothing from a run; Structures "
            "lists the rounds that have",
        )
    return choice


def shown_points(drawn: CandidateMap, most: int = MOST_SHOWN) -> NDArray[np.int64]:
    """Return which candidates are drawn: others evenly thinned, then every pick.

    Picks come last, so that they lie on top. Where the run no longer tells which frame
    a point is, picks alone can be looked at.
    """
    n = len(drawn.temperatures)
    picked = np.array(drawn.picked, dtype=np.int64)
    if not drawn.frames:
        return picked
    others = np.setdiff1d(np.arange(n), picked)
    room = max(most - len(picked), 0)
    if len(others) > room:
        others = others[np.linspace(0, len(others) - 1, room).astype(np.int64)]
    return np.concatenate([others, picked])


def points_to_view(
    name: str, drawn: CandidateMap, choice: RoundChoice, most: int = MOST_SHOWN
) -> dict[str, Any]:
    """Return the map in chemiscope's words; None where a number is not known."""
    shown = shown_points(drawn, most)
    why = dict(zip(drawn.picked, choice.picks, strict=False))
    reasons = [why.get(point) for point in shown.tolist()]
    frames = drawn.frames
    ids = (
        [frames[point].key for point in shown]
        if frames
        else [reason.key for reason in reasons if reason is not None]
    )
    columns: dict[str, tuple[Sequence[Any], str, str]] = {
        name: (_rounded(values), "", f"{100 * part:.0f} % of the variance")
        for name, values, part in zip(
            AXES, drawn.coordinates[shown].T, drawn.explained, strict=False
        )
    }
    if AXES[1] not in columns:  # one component holds all variance that is kept
        columns[NUMBER] = (shown.tolist(), "", "of the candidate, in the run's order")
    columns |= {
        "temperature": (_rounded(drawn.temperatures[shown]), "K", ""),
        "choice": (
            ["candidate" if reason is None else "picked" for reason in reasons],
            "",
            "",
        ),
        "picked": ([0 if reason is None else 1 for reason in reasons], "", "1: yes"),
        "cluster": (_told(reasons, "cluster"), "", "of a pick"),
        "stands for": (_told(reasons, "cluster_size"), "", "candidates, of a pick"),
        "distance to labelled": (
            _told(reasons, "labelled_distance"),
            "",
            "of a pick, in units of the candidates' spread",
        ),
        "Q ratio": (_told(reasons, "q_ratio"), "", "of a pick"),
    }
    if frames:
        columns["replica"] = ([frames[point].replica for point in shown], "", "")
        columns["step"] = ([frames[point].step for point in shown], "", "")
    known = {
        key: {"values": values, "units": units, "description": words}
        for key, (values, units, words) in columns.items()
        if any(value is not None for value in values)
    }
    first = len(shown) - len(drawn.picked) if drawn.picked else 0
    keys = [key[:SHORT] for key in ids]
    axes = [name for name in (*AXES, NUMBER) if name in known][:2]
    facts = {"name": name, "keys": keys, "first": first, "axes": axes}
    return {**facts, "properties": known}


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in values.round(PLACES)]


def _told(reasons: Sequence[PickedBecause | None], name: str) -> list[float | None]:
    found = [None if reason is None else getattr(reason, name) for reason in reasons]
    return [None if value is None else round(value, PLACES) for value in found]
