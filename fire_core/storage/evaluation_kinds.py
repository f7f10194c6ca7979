"""Kinds of evaluations: how a record is written as JSON, and read from it again."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fire_core.records import JsonDict

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class EvaluationKind(Generic[Record]):
    """A kind of evaluation.

    Attributes
    ----------
    name
        Under which its records are kept; never changed.
    write
        Returns plain JSON objects of a record.
    read
        Returns the record; a ValueError says what is wrong.
    upgrades
        One function for each change of the form: from the JSON objects of version n,
        counted from 1, to those of version n + 1.
    """

    name: str
    write: Callable[[Record], Any]
    read: Callable[[Any], Record]
    upgrades: tuple[Callable[[Any], Any], ...] = ()

    @property
    def version(self) -> int:
        """The form that records are written in."""
        return len(self.upgrades) + 1

    def encode(self, value: Record) -> str:
        """Return a record as JSON."""
        return json.dumps(self.write(value))

    def decode(self, body: str, version: int | None = None) -> Record:
        """Return the record of a JSON text that was written in a version's form.

        Raises
        ------
        ValueError
            It is none; the message says which field is wrong.
        """
        version = self.version if version is None else version
        if version > self.version:
            msg = f"it has form {version}, this FIRE knows up to {self.version}"
            raise ValueError(msg)
        raw = json.loads(body)
        for upgrade in self.upgrades[version - 1 :]:
            raw = upgrade(raw)
        return self.read(raw)


def json_kind(name: str) -> EvaluationKind[JsonDict]:
    """Return a kind whose records are JSON objects as they are."""
    return EvaluationKind(name, write=lambda value: value, read=_read_object)


def dataclass_kind(
    name: str,
    record: type[Record],
    upgrades: tuple[Callable[[Any], Any], ...] = (),
) -> EvaluationKind[Record]:
    """Return a kind whose records are instances of a frozen dataclass.

    Its fields may be numbers, texts, enums, None, further dataclasses, and tuples,
    lists and mappings of them. A field that has no default must be in the JSON, and no
    field may be in it that the dataclass does not have.
    """

    @functools.cache
    def adapter() -> TypeAdapter[Record]:
        return TypeAdapter(record)

    def write(value: Record) -> Any:
        return adapter().dump_python(value, mode="json")

    def read(raw: Any) -> Record:
        try:
            value = adapter().validate_python(raw)
        except ValidationError as error:
            raise ValueError(_first(error)) from error
        unknown = next(_unknown_fields(raw, write(value)), None)
        if unknown is not None:
            msg = f"unknown field {unknown}"
            raise ValueError(msg)
        return value

    return EvaluationKind(name, write, read, upgrades)


def _read_object(raw: Any) -> JsonDict:
    if not isinstance(raw, dict):
        msg = f"expected a JSON object, got {type(raw).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - of a text, as for every other mistake in it
    return raw


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, found["loc"]))
    return f"field {where}: {found['msg']}" if where else str(found["msg"])


def _unknown_fields(given: Any, known: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of fields that are given and were not read."""
    if isinstance(given, dict) and isinstance(known, dict):
        for name, inner in given.items():
            where = f"{path}.{name}" if path else str(name)
            if name not in known:
                yield where
            else:
                yield from _unknown_fields(inner, known[name], where)
    elif isinstance(given, list) and isinstance(known, list):
        for number, (inner, there) in enumerate(zip(given, known, strict=False)):
            yield from _unknown_fields(inner, there, f"{path}.{number}")
