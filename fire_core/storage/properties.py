"""Properties of models: requests, the parts that are done, and results."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update

from fire_core.errors import StoreError
from fire_core.records import PropertyResult, PropertyValue
from fire_core.storage.dialects import database_time, insert_missing
from fire_core.storage.property_pages import browse_properties, property_subjects
from fire_core.storage.tables import PropertyPartTable, PropertyTable
from fire_core.storage.transaction import reading, writing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fire_core.storage.blobs import BlobStore
    from fire_core.storage.transaction import Database

SHARED: Final = "dynamics-"
"""Begins the name of parts that other measurements of the same work may use."""


@dataclass(frozen=True, slots=True)
class PropertyAsked:
    """A measurement that somebody asked for.

    Attributes
    ----------
    key
        sha256 of all that the result depends on.
    name
        What people call it.
    work
        sha256 of what its dynamics depend on, the same for measurements that differ in
        their analysis or length alone.
    kind
        Kind of measurement.
    subject
        The model, or the theory level, that it is a property of.
    subject_sha
        sha256 of the model's file, or the theory's fingerprint.
    structure
        Key of the structure; None where there is no single one.
    formula
        Of the structure, or what was measured in words.
    request_json
        Every setting.
    """

    key: str
    name: str
    work: str
    kind: str
    subject: str
    subject_sha: str
    structure: str | None
    formula: str
    request_json: str


@dataclass(frozen=True, slots=True)
class PropertyRow:
    """A measurement as the store has it; `result` is None until it is finished.

    Times are since 1970, s; `wall_s` is what the finished run took.
    """

    asked: PropertyAsked
    result: PropertyResult | None
    wall_s: float
    created_at: float
    finished_at: float | None

    def need_result(self) -> PropertyResult:
        """Return the result.

        Raises
        ------
        StoreError
            It is not finished.
        """
        if self.result is None:
            msg = (
                f"{self.asked.name} is not finished; the command that began it goes on "
                "where it was"
            )
            raise StoreError(msg)
        return self.result


def open_property(connection: Connection, asked: PropertyAsked) -> None:
    """Enter a measurement, or find it there."""
    row = asdict(asked) | {
        "wall_s": 0.0,
        "created_at": database_time(connection),
    }
    insert_missing(connection, PropertyTable, [row])


def hold_property(
    connection: Connection, key: str, owner: str, lease_s: float
) -> str | None:
    """Take or renew a measurement; return who runs it otherwise."""
    now = database_time(connection)
    held = connection.execute(
        select(PropertyTable.owner, PropertyTable.lease_until)
        .where(PropertyTable.key == key)
        .with_for_update()
    ).one()
    if held.owner not in {None, owner} and held.lease_until > now:
        return str(held.owner)
    connection.execute(
        update(PropertyTable)
        .where(PropertyTable.key == key)
        .values(owner=owner, lease_until=now + lease_s)
    )
    return None


def release_property(connection: Connection, key: str, owner: str) -> None:
    """End a hold; nothing happens where another has it by now."""
    connection.execute(
        update(PropertyTable)
        .where(PropertyTable.key == key, PropertyTable.owner == owner)
        .values(owner=None, lease_until=None)
    )


def add_part(connection: Connection, key: str, part: str, sha: str) -> None:
    """Enter a finished part of a measurement unless it is there."""
    row = {"property": key, "part": part, "blob_sha": sha}
    insert_missing(connection, PropertyPartTable, [row])


def list_parts(connection: Connection, key: str) -> dict[str, str]:
    """Return the sha256 of each finished part by its name."""
    query = select(PropertyPartTable.part, PropertyPartTable.blob_sha).where(
        PropertyPartTable.property == key
    )
    return {row.part: row.blob_sha for row in connection.execute(query)}


def list_shared_parts(connection: Connection, work: str) -> dict[str, str]:
    """Return the parts whose name begins with `SHARED` of all of the same work."""
    query = (
        select(PropertyPartTable.part, PropertyPartTable.blob_sha)
        .join(PropertyTable, PropertyTable.key == PropertyPartTable.property)
        .where(PropertyTable.work == work, PropertyPartTable.part.startswith(SHARED))
    )
    return {row.part: row.blob_sha for row in connection.execute(query)}


def finish_property(
    connection: Connection, key: str, result: PropertyResult, wall_s: float
) -> None:
    """Write the result; the first one stays."""
    connection.execute(
        update(PropertyTable)
        .where(PropertyTable.key == key, PropertyTable.result_json.is_(None))
        .values(
            result_json=json.dumps(asdict(result)),
            wall_s=wall_s,
            finished_at=database_time(connection),
        )
    )


def get_property(connection: Connection, key: str) -> PropertyRow | None:
    """Return a measurement by its key."""
    query = select(PropertyTable).where(PropertyTable.key == key)
    row = connection.execute(query).one_or_none()
    return None if row is None else _unpack(row)


def list_properties(
    connection: Connection, *, kind: str | None = None, formula: str | None = None
) -> list[PropertyRow]:
    """Return measurements, the newest first, all of them or some."""
    query = select(PropertyTable).order_by(
        PropertyTable.created_at.desc(), PropertyTable.key
    )
    if kind is not None:
        query = query.where(PropertyTable.kind == kind)
    if formula is not None:
        query = query.where(PropertyTable.formula == formula)
    return [_unpack(row) for row in connection.execute(query)]


def need_property(connection: Connection, start: str) -> PropertyRow:
    """Return the one measurement whose key, or name, begins so.

    Of several with the same name the newest is meant.

    Raises
    ------
    StoreError
        There is none, or several keys begin so.
    """
    rows = list_properties(connection)
    named = [row for row in rows if row.asked.name == start]
    if named:
        return named[0]
    found = [row for row in rows if start and row.asked.key.startswith(start)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted({row.asked.name for row in rows})) or "none"
    what = f"{len(found)} keys begin with" if found else "no measurement is called"
    msg = f"{what} {start!r}; there: {names} (`fire properties list`)"
    raise StoreError(msg)


def _unpack(row: Any) -> PropertyRow:
    names = PropertyAsked.__slots__
    asked = PropertyAsked(**{name: getattr(row, name) for name in names})
    result = None
    if row.result_json is not None:
        facts = json.loads(row.result_json)
        result = PropertyResult(
            values=tuple(PropertyValue(**value) for value in facts["values"]),
            curves=facts["curves"],
            notes=tuple(facts["notes"]),
        )
    return PropertyRow(asked, result, row.wall_s, row.created_at, row.finished_at)


@dataclass(frozen=True)
class Properties:
    """Measurements of properties."""

    database: Database
    blobs: BlobStore

    open = writing(open_property)
    hold = writing(hold_property)
    release = writing(release_property)
    parts = reading(list_parts)
    shared_parts = reading(list_shared_parts)
    finish = writing(finish_property)
    get = reading(get_property)
    need = reading(need_property)
    browse = reading(browse_properties)
    subjects = reading(property_subjects)
    list = reading(list_properties)
    _add_part = writing(add_part)

    def save_part(self, key: str, part: str, data: bytes) -> str:
        """Keep a finished part of a measurement; return its sha256.

        A part that is there already is left as it is.
        """
        sha = self.blobs.put_bytes(data)
        self._add_part(key, part, sha)
        return sha
