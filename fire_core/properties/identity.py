"""What makes two measurements the same: the sha256 of all that a result depends on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fire_core.properties.request import PropertyRequest
    from fire_core.records import JsonDict

NOT_IN_THE_KEY: Final = frozenset(
    {"name", "threads", "store", "results", "system", "backbone"}
)
"""Settings that the result does not depend on, or that enter it as content."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a property is of.

    Attributes
    ----------
    name
        The model, or what else is measured.
    sha
        sha256 of its content.
    formula
        Of the structure, or what was measured in words.
    structure
        Key of the structure; None where there is no single one.
    settings
        Those of the model that its numbers depend on; None where there is no model.
    """

    name: str
    sha: str
    formula: str
    structure: str | None = None
    settings: JsonDict | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a measurement, and of its dynamics.

    Attributes
    ----------
    key
        sha256 of all that the result depends on.
    work
        sha256 of what the dynamics depend on, the same for measurements that differ in
        their length or analysis alone.
    """

    key: str
    work: str


def identify(
    request: PropertyRequest, subject: Subject, files: Mapping[str, bytes]
) -> Identity:
    """Return the identity of a measurement.

    Parameters
    ----------
    request
        Every setting.
    subject
        What is measured.
    files
        Content of the files that the settings name, by path; it enters the identity in
        place of the path.
    """
    needs = request.measure.needs()
    settings = request.model_dump(mode="json", exclude=set(NOT_IN_THE_KEY))
    more = [subject.settings, subject.sha, subject.structure]
    if needs.machine:
        more.append(f"{request.threads} threads")
    key = _hash([settings, *more], files)
    for name in needs.afterwards:
        del settings["measure"][name]
    return Identity(key, _hash([settings, *more], files))


def _hash(parts: list[object], files: Mapping[str, bytes]) -> str:
    text = json.dumps(parts, sort_keys=True)
    for path, data in files.items():  # by content, wherever they are
        sha = hashlib.sha256(data).hexdigest()
        text = text.replace(json.dumps(path), json.dumps(sha))
    return hashlib.sha256(text.encode()).hexdigest()
