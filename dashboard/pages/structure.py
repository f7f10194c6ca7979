"""One structure: what it is, why it is there, and what became of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Path, Request, Response
from fastapi.responses import JSONResponse

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.rendering import render
from fire_core.campaign.names import SELECTED, TEST
from fire_core.campaign.views.candidate_map import explain_pick
from fire_core.campaign.views.geometry import describe_geometry
from fire_core.campaign.views.structure_errors import errors_on
from fire_core.errors import StoreError, StoreUnavailableError
from fire_core.labelling.triage import FIXES

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.campaign.choices import PickedBecause
    from fire_core.storage.label_queries import LabelRow
    from fire_core.storage.store import Store
    from fire_core.storage.structure_details import (
        Chosen,
        LabelNumbers,
        StructureDetails,
    )

router = APIRouter()
KEY: Final = re.compile(r"[0-9a-f]{6,64}")
MOST: Final = 50
"""Uses of each kind that are listed."""
EVER: Final = {"Cache-Control": "private, max-age=604800, immutable"}
"""A structure under its key never changes."""


@dataclass(frozen=True, slots=True)
class LabelLine:
    """A label with its numbers, its theory in words and what to do about a failure."""

    row: LabelRow
    numbers: LabelNumbers
    theory: str
    settings: str
    fix: str


@dataclass(frozen=True, slots=True)
class ChoiceLine:
    """A choice that the structure is in, and why; `has_map`: its round has a map."""

    chosen: Chosen
    why: PickedBecause | None
    has_map: bool


def one_key(request: Request, key: Annotated[str, Path()]) -> str:
    """Return the whole key of the structure that an address names."""
    if not KEY.fullmatch(key):
        raise HTTPException(
            404,
            "a structure's key has 6 to 64 hexadecimal digits, this is none; look for "
            "it on the page Structures",
        )
    store: Store = request.app.state.store()
    try:
        return store.structures.find_key(key)
    except StoreUnavailableError:
        raise
    except StoreError as error:
        raise HTTPException(404, str(error)) from error


Key = Annotated[str, Depends(one_key)]


@router.get("/structures/{key}")
def show(
    request: Request, visitor: Annotated[Visitor, Depends(need(Right.SEE))], key: Key
) -> Response:
    """Show all that is known of a structure."""
    store: Store = request.app.state.store()
    story = store.structures.describe(key, MOST)
    tests = [(c.campaign, c.round) for c in story.choices if c.purpose == TEST]
    return render(
        request,
        "structure",
        visitor=visitor,
        live=False,  # moving the viewer's canvas into a new page would empty it
        story=story,
        geometry=describe_geometry(store.structures.get([key])[0]),
        labels=_labels(store, story),
        choices=[_why(store, key, choice) for choice in story.choices],
        errors=errors_on(store, key, tests, [row.theory for row in story.labels]),
        most=MOST,
    )


@router.get("/structures/{key}/chemiscope.json")
def send_view(
    request: Request, visitor: Annotated[Visitor, Depends(need(Right.SEE))], key: Key
) -> Response:
    """Send a structure as chemiscope draws it."""
    del visitor
    store: Store = request.app.state.store()
    atoms = store.structures.get([key])[0]
    return JSONResponse(atoms_to_view(atoms), headers=EVER)


def atoms_to_view(atoms: Atoms) -> dict[str, Any]:
    """Return a structure in chemiscope's words, folded into its cell; Å, 4 digits."""
    atoms = atoms.copy()
    if atoms.cell.rank == 3:
        atoms.wrap()
    x, y, z = (column.round(4).tolist() for column in atoms.positions.T)
    view = {
        "size": len(atoms),
        "names": atoms.get_chemical_symbols(),
        "x": x,
        "y": y,
        "z": z,
    }
    if atoms.cell.rank == 3:
        view["cell"] = atoms.cell.array.round(6).ravel().tolist()
    return view


def _labels(store: Store, story: StructureDetails) -> list[LabelLine]:
    theories = {
        fingerprint: (f"{code} {version}", settings)
        for fingerprint, code, version, settings in store.theories.list()
    }
    return [
        LabelLine(
            row,
            story.numbers[row.theory],
            theories[row.theory][0],
            json.dumps(json.loads(theories[row.theory][1]), indent=2),
            _fix(row.kind),
        )
        for row in story.labels
    ]


def _fix(kind: str | None) -> str:
    known = {known.value: fix for known, fix in FIXES.items()}
    return "" if kind is None else known.get(kind, "")


def _why(store: Store, key: str, chosen: Chosen) -> ChoiceLine:
    is_map = chosen.purpose == SELECTED
    why = explain_pick(store, chosen.campaign, chosen.round, key) if is_map else None
    return ChoiceLine(chosen, why, is_map)
