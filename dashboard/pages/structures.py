"""The page of structures: found by what they are, page by page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote, urlencode

from ase.data import chemical_symbols
from ase.formula import Formula
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.rendering import render, root_of
from fire_core.campaign.names import SELECTED
from fire_core.records import LabelState
from fire_core.storage.structure_pages import StructureFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.storage.store import Store

router = APIRouter()
PAGE: Final = 50
ELEMENTS: Final = frozenset(chemical_symbols[1:])
MOST_ATOMS: Final = 10**9
LONGEST: Final = 255
AFTER: Final = re.compile(r"(\d{1,12}\.\d{1,9})_([0-9a-f]{8,64})")
FIELDS: Final = ("formula", "elements", "least", "most", "campaign", "state", "theory")


@router.get("/structures")
def show(
    request: Request, visitor: Annotated[Visitor, Depends(need(Right.SEE))]
) -> Response:
    """Show a page of the structures that are looked for, newest first."""
    store: Store = request.app.state.store()
    given = {name: request.query_params.get(name, "").strip() for name in FIELDS}
    mark = request.query_params.get("after", "")
    wanted, problems = read_filter(given)
    after, wrong = read_mark(mark)
    problems += wrong
    rows = [] if problems else store.structures.find(wanted, after=after, most=PAGE + 1)
    following = ""
    if len(rows) > PAGE:
        last = rows[PAGE - 1]
        said = {k: v for k, v in given.items() if v}
        following = urlencode(said | {"after": f"{last.created_at!r}_{last.key}"})
    return render(
        request,
        "structures",
        visitor=visitor,
        live=False,  # a page that is read, and a form that is filled in, stay
        rows=rows[:PAGE],
        given=given,
        problems=problems,
        is_first=after is None,
        is_narrow=any(given.values()),
        first_page=urlencode({k: v for k, v in given.items() if v}),
        following=following,
        total=store.structures.count(),
        **_choices(store),
    )


@router.get("/map")
def choose_map(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.SEE))],
    of: str = "",
) -> Response:
    """Go to the map that was chosen, `ROUND CAMPAIGN`."""
    del visitor
    round_, _, campaign = of.partition(" ")
    if not campaign or not round_.isdecimal():
        raise HTTPException(404, "choose a campaign and its round on Structures")
    place = f"{root_of(request)}/map/{quote(campaign, safe='')}/{int(round_)}"
    return RedirectResponse(place, 303)


def _choices(store: Store) -> dict[str, Any]:
    """Return what the form offers."""
    return {
        "formulas": store.structures.formulas(),
        "campaigns": [(row.name, row.name) for row in store.campaigns.list()],
        "states": [(state.value, state.value) for state in LabelState],
        "theories": [
            (fingerprint, f"{code} {version}, {fingerprint[:8]}")
            for fingerprint, code, version, _ in store.theories.list()
        ],
        "maps": store.selections.rounds(SELECTED),
    }


def read_filter(given: dict[str, str]) -> tuple[StructureFilter, list[str]]:
    """Return what is looked for, and what is wrong with what was typed."""
    problems: list[str] = []

    def take(name: str, read: Callable[[str], Any]) -> Any:
        text = given.get(name, "")
        if not text:
            return None
        try:
            if len(text) > LONGEST or not text.isprintable():
                msg = f"{name}: expected at most {LONGEST} printable characters"
                raise ValueError(msg)  # noqa: TRY301 - told with the others
            return read(text)
        except ValueError as error:
            problems.append(str(error))
            return None

    wanted = StructureFilter(
        formula=take("formula", read_formula),
        elements=take("elements", read_elements) or (),
        least=take("least", lambda text: read_atoms("atoms from", text)),
        most=take("most", lambda text: read_atoms("atoms to", text)),
        campaign=take("campaign", str),
        state=take("state", read_state),
        theory=take("theory", str),
    )
    least, most = wanted.least, wanted.most
    if least is not None and most is not None and least > most:
        problems.append(f"atoms: from {least} to {most} is empty; swap the two")
    return wanted, problems


def read_formula(text: str) -> str:
    """Return a formula in the order that the store keeps.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        formula = Formula(text)
        counts = formula.count()
    except ValueError:
        counts = {}
    if not counts or not counts.keys() <= ELEMENTS:
        msg = f"formula: expected one such as Cl4Li4 or (LiCl)4, got {text!r}"
        raise ValueError(msg)
    return str(formula.format("hill"))


def read_elements(text: str) -> tuple[str, ...]:
    """Return the elements of a list with spaces, commas or hyphens.

    Raises
    ------
    ValueError
        A word is none.
    """
    words = [word for word in re.split(r"[\s,;-]+", text) if word]
    wrong = [word for word in words if word not in ELEMENTS]
    if wrong:
        msg = f"elements: expected symbols such as Li, Cl, got {', '.join(wrong)!r}"
        raise ValueError(msg)
    return tuple(words)


def read_atoms(name: str, text: str) -> int:
    """Return a number of atoms.

    Raises
    ------
    ValueError
        It is none.
    """
    if not (text.isascii() and text.isdigit()) or int(text) > MOST_ATOMS:
        msg = f"{name}: expected a whole number up to {MOST_ATOMS}, got {text!r}"
        raise ValueError(msg)
    return int(text)


def read_state(text: str) -> str:
    """Return the state of a label.

    Raises
    ------
    ValueError
        It is none.
    """
    states = [state.value for state in LabelState]
    if text not in states:
        msg = f"label: expected one of {', '.join(states)}, got {text!r}"
        raise ValueError(msg)
    return text


def read_mark(text: str) -> tuple[tuple[float, str] | None, list[str]]:
    """Return after which structure a page begins, and what is wrong with that."""
    if not text:
        return None, []
    match = AFTER.fullmatch(text)
    if match is None:
        return None, ["the address names no place in the list; begin at its first page"]
    return (float(match[1]), match[2]), []
