"""A page of measured properties without the curves that their figures need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, cast, func, select

from fire_core.records import PropertyValue
from fire_core.storage.dialects import PGSQL, database_time
from fire_core.storage.tables import PropertyTable

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class PropertyLine:
    """A measurement on a list; times are since 1970, s.

    `values` is None until it is finished; `running` names who measures now.
    """

    key: str
    name: str
    kind: str
    subject: str
    formula: str
    values: tuple[PropertyValue, ...] | None
    running: str | None
    wall_s: float
    created_at: float
    finished_at: float | None


def browse_properties(
    connection: Connection,
    *,
    kind: str | None = None,
    subject: str | None = None,
    before: float | None = None,
    most: int = 25,
) -> list[PropertyLine]:
    """Return a page of measurements, newest first.

    Parameters
    ----------
    kind, subject
        Only of this kind, only of this model or theory.
    before
        `created_at` of the last one of the page before.
    most
        Measurements on a page.
    """
    query = (
        select(
            PropertyTable.key,
            PropertyTable.name,
            PropertyTable.kind,
            PropertyTable.subject,
            PropertyTable.formula,
            _values(connection),
            PropertyTable.owner,
            PropertyTable.lease_until,
            PropertyTable.wall_s,
            PropertyTable.created_at,
            PropertyTable.finished_at,
        )
        .order_by(PropertyTable.created_at.desc(), PropertyTable.key)
        .limit(most)
    )
    if kind is not None:
        query = query.where(PropertyTable.kind == kind)
    if subject is not None:
        query = query.where(PropertyTable.subject == subject)
    if before is not None:
        query = query.where(PropertyTable.created_at < before)
    now = database_time(connection)
    return [_line(row, now) for row in connection.execute(query)]


def property_subjects(connection: Connection) -> list[str]:
    """Return every model and theory that something was measured of."""
    query = select(PropertyTable.subject).distinct().order_by(PropertyTable.subject)
    return list(connection.scalars(query))


def _values(connection: Connection) -> Any:
    if connection.dialect.name == PGSQL:
        return cast(PropertyTable.result_json, JSON)["values"].as_string()
    return func.json_extract(PropertyTable.result_json, "$.values")


def _line(row: Any, now: float) -> PropertyLine:
    key, name, kind, subject, formula, values, owner, lease, wall, made, ended = row
    found = None
    if values is not None:
        found = tuple(PropertyValue(**value) for value in json.loads(values))
    is_running = owner is not None and ended is None and (lease or 0) > now
    return PropertyLine(
        key=key,
        name=name,
        kind=kind,
        subject=subject,
        formula=formula,
        values=found,
        running=owner if is_running else None,
        wall_s=wall,
        created_at=made,
        finished_at=ended,
    )
