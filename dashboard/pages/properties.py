"""Measured properties: a list, one with its figures, several beside experiment."""

from __future__ import annotations

import json
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from dashboard.access.guard import need
from dashboard.access.roles import Right, Visitor
from dashboard.rendering import render
from fire_core.campaign.views.measurements import label_measurements
from fire_core.errors import PropertyError
from fire_core.properties.comparison.compare import Comparison, compare
from fire_core.properties.comparison.figure import draw_comparisons
from fire_core.properties.kinds import KINDS, draw_property
from fire_core.storage.properties import PropertyRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.report.figures import FigureFiles
    from fire_core.storage.store import Store

router = APIRouter()
PAGE: Final = 25
MOST_COMPARED: Final = 12
KEY: Final = r"^[0-9a-f]{64}$"
DRAWING: Final = threading.Lock()
"""matplotlib's state belongs to the process."""
Seeing = Annotated[Visitor, Depends(need(Right.SEE))]
Key = Annotated[str, Query(pattern=KEY)]


@router.get("/properties")
def show(
    request: Request,
    visitor: Seeing,
    kind: str = "",
    subject: str = "",
    before: float | None = None,
) -> Response:
    """Show the measurements, newest first."""
    store: Store = request.app.state.store()
    lines = store.properties.browse(
        kind=kind or None, subject=subject or None, before=before, most=PAGE + 1
    )
    return render(
        request,
        "properties",
        visitor=visitor,
        lines=lines[:PAGE],
        older=lines[PAGE - 1].created_at if len(lines) > PAGE else None,
        kinds=sorted(KINDS.names()),
        subjects=store.properties.subjects(),
        chosen={"kind": kind, "subject": subject},
    )


@router.get("/properties/compare")
def show_comparison(
    request: Request,
    visitor: Seeing,
    key: Annotated[list[Key], Query(min_length=1, max_length=MOST_COMPARED)],
) -> Response:
    """Show several measurements beside each other and published numbers."""
    rows = [need_finished(request, k) for k in key]
    found, problem = hold(rows)
    return render(
        request,
        "properties_compare",
        visitor=visitor,
        live=False,
        rows=rows,
        found=found,
        problem=problem,
        figures=list(drawn_comparison(tuple(sorted(key)), found)),
        query="&".join(f"key={k}" for k in sorted(key)),
    )


@router.get("/properties/compare/figure/{name}.svg")
def send_comparison_figure(
    request: Request,
    visitor: Seeing,  # noqa: ARG001
    name: str,
    key: Annotated[list[Key], Query(min_length=1, max_length=MOST_COMPARED)],
) -> Response:
    """Send a figure of a comparison."""
    found, _ = hold([need_finished(request, k) for k in key])
    return svg(drawn_comparison(tuple(sorted(key)), found), name)


@router.get("/properties/{key}")
def show_one(request: Request, visitor: Seeing, key: str) -> Response:
    """Show one measurement: numbers, figures, and experiment where it is known."""
    row = need_property(request, key)
    found, _ = hold([row]) if row.result is not None else ([], "")
    return render(
        request,
        "property",
        visitor=visitor,
        row=row,
        published=found,
        figures=list(drawn(row)) if row.result is not None else [],
        request_json=json.dumps(json.loads(row.asked.request_json), indent=2),
    )


@router.get("/properties/{key}/figure/{name}.svg")
def send_figure(
    request: Request,
    visitor: Seeing,  # noqa: ARG001
    key: str,
    name: str,
) -> Response:
    """Send a figure of a measurement."""
    return svg(drawn(need_finished(request, key)), name)


@router.get("/properties/{key}/result.json")
def download(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.DOWNLOAD))],  # noqa: ARG001
    key: str,
) -> Response:
    """Send everything that a measurement gave."""
    row = need_finished(request, key)
    result = row.need_result()
    facts = {
        "name": row.asked.name,
        "kind": row.asked.kind,
        "formula": row.asked.formula,
        "subject": row.asked.subject,
        "subject_sha": row.asked.subject_sha,
        "request": json.loads(row.asked.request_json),
        "values": [
            {slot: getattr(value, slot) for slot in value.__slots__}
            for value in result.values
        ],
        "curves": result.curves,
        "notes": list(result.notes),
    }
    named = f'attachment; filename="{row.asked.key[:12]}.json"'
    return JSONResponse(facts, headers={"Content-Disposition": named})


def need_property(request: Request, key: str) -> PropertyRow:
    """Return a measurement, or answer that there is none."""
    store: Store = request.app.state.store()
    row = store.properties.get(key)
    if row is None:
        raise HTTPException(404, "no such measurement in this store")
    return row


def need_finished(request: Request, key: str) -> PropertyRow:
    """Return a finished measurement, or answer why there is none."""
    row = need_property(request, key)
    row.need_result()
    return row


def hold(rows: list[PropertyRow]) -> tuple[list[Comparison], str]:
    """Hold measurements against each other; or say why that cannot be done."""
    try:
        return compare(label_measurements(rows)), ""
    except PropertyError as error:
        return [], str(error)


def drawn(row: PropertyRow) -> dict[str, bytes]:
    """Return the figures of a measurement as SVG, by name."""
    return _remembered(
        row.asked.key,
        lambda folder: draw_property(row.asked.kind, row.need_result(), folder),
    )


def drawn_comparison(
    keys: tuple[str, ...], found: list[Comparison]
) -> dict[str, bytes]:
    """Return the figures of a comparison as SVG, by name."""
    facts = [comparison.as_dict() for comparison in found]
    return _remembered(
        "compare " + " ".join(keys), lambda folder: draw_comparisons(facts, folder)
    )


def _remembered(
    name: str, draw: Callable[[Path], list[FigureFiles]]
) -> dict[str, bytes]:
    with DRAWING:
        known = _memory()
        if name not in known:
            if len(known) > 64:
                known.clear()
            with tempfile.TemporaryDirectory(prefix="fire-figures-") as folder:
                files = draw(Path(folder))
                known[name] = {f.svg.stem: f.svg.read_bytes() for f in files}
        return known[name]


@lru_cache(1)
def _memory() -> dict[str, dict[str, bytes]]:
    return {}


def svg(figures: dict[str, bytes], name: str) -> Response:
    """Answer with one of the figures."""
    if name not in figures:
        raise HTTPException(404, "no such figure")
    headers: dict[str, Any] = {"Cache-Control": "private, max-age=3600"}
    return Response(figures[name], media_type="image/svg+xml", headers=headers)
