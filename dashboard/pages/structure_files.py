"""Structures and their labels as files to take away."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Annotated, Final

from ase.io import write
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.pages.structure import Key
from fire_core.campaign.names import SELECTED
from fire_core.records import LabelState
from fire_core.storage.exchange import frame_text
from fire_core.storage.selections import LabelScope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms

    from fire_core.storage.store import Store

router = APIRouter()
CHUNK: Final = 256
"""Structures in memory at once."""


@router.get("/structures/{key}.extxyz")
def send_extxyz(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.DOWNLOAD))],
    key: Key,
    theory: str = "",
) -> Response:
    """Send a structure as extended XYZ, with its label where one is done."""
    del visitor
    store: Store = request.app.state.store()
    done = [
        row.theory
        for row in store.structures.describe(key).labels
        if row.state is LabelState.DONE
    ]
    if theory and theory not in done:
        raise HTTPException(404, f"no finished label of theory level {theory!r}")
    if done:
        text = "".join(_labelled(store, [key], theory or done[0]))
    else:
        text = bare_frame(store.structures.get([key])[0], key)
    return Response(text, media_type="text/plain", headers=_named(key, "extxyz"))


@router.get("/structures/{key}.cif")
def send_cif(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.DOWNLOAD))],
    key: Key,
) -> Response:
    """Send a structure as a crystallographic file."""
    del visitor
    store: Store = request.app.state.store()
    atoms = store.structures.get([key])[0]
    if atoms.cell.rank < 3:
        raise HTTPException(404, "this structure has no cell; take the extxyz file")
    buffer = io.BytesIO()
    write(buffer, atoms, format="cif")
    headers = _named(key, "cif")
    return Response(buffer.getvalue(), media_type="chemical/x-cif", headers=headers)


@router.get("/map/{campaign}/{round_}/picks.extxyz")
def send_picks(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.DOWNLOAD))],
    campaign: str,
    round_: int,
) -> Response:
    """Send the picks of a round that have a label, of the theory that most have."""
    del visitor
    store: Store = request.app.state.store()
    row = store.selections.get(campaign, round_, SELECTED)
    if row is None:
        raise HTTPException(404, f"round {round_} of {campaign!r} has picked nothing")
    choice = LabelScope(campaign, round_, SELECTED)
    counts = {
        fingerprint: store.labels.counts(fingerprint, choice).get(LabelState.DONE, 0)
        for fingerprint, *_ in store.theories.list()
    }
    theory = max(counts, key=lambda name: counts[name], default="")
    if not counts.get(theory):
        raise HTTPException(404, "none of these picks has a finished label yet")
    return StreamingResponse(
        _labelled(store, row.keys, theory),
        media_type="text/plain",
        headers=_named(f"{campaign}-round-{round_}-picks", "extxyz"),
    )


def _labelled(store: Store, keys: list[str], theory: str) -> Iterator[str]:
    for start in range(0, len(keys), CHUNK):
        for item in store.labels.labelled(keys[start : start + CHUNK], theory):
            yield frame_text(
                item.atoms,
                energy=item.label.energy,
                forces=item.label.forces,
                stress=item.label.stress,
                info={"theory": theory, "key": item.key},
            )


def bare_frame(atoms: Atoms, key: str) -> str:
    """Return a structure without a label as extended XYZ, to the last bit."""

    def row(values: list[float]) -> str:
        return " ".join(repr(value) for value in values)

    pbc = " ".join("T" if periodic else "F" for periodic in atoms.pbc)
    lines = [
        str(len(atoms)),
        f'Lattice="{row(atoms.cell.array.ravel().tolist())}" '
        f'Properties=species:S:1:pos:R:3 key={key} pbc="{pbc}"',
    ]
    lines += [
        f"{symbol} {row(position)}"
        for symbol, position in zip(
            atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True
        )
    ]
    return "\n".join(lines) + "\n"


def _named(stem: str, suffix: str) -> dict[str, str]:
    """Return the header that names a file; whatever is odd in a name is left out."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:100]
    return {"Content-Disposition": f'attachment; filename="{safe}.{suffix}"'}
