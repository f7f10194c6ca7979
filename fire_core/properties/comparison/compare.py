"""The same property of several models side by side, and beside published numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from fire_core.errors import PropertyError
from fire_core.properties.comparison.references import find_references

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fire_core.properties.comparison.references import Reference
    from fire_core.records import JsonDict, PropertyValue

NEAR: Final = 5.0
"""K; a published number within is of the same temperature."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A finished measurement.

    Attributes
    ----------
    label
        What it is called in the comparison: the model's name, most often.
    formula
        Of its structure.
    values
        Its numbers.
    """

    label: str
    formula: str
    values: Sequence[PropertyValue]


@dataclass(frozen=True, slots=True)
class Entry:
    """One number in a comparison.

    Attributes
    ----------
    label
        Whose it is.
    kind
        `model`, `experiment` or `published` (computed by others).
    value, error
        In the comparison's unit; error None: unknown.
    source
        DOI of a published number, else empty.
    percent
        Deviation from the comparison's first entry, %; None for that itself.
    sigmas
        Deviation in combined standard errors; None where neither error is known.
    is_upper_bound
        Whether one of the two errors is unknown, so that `sigmas` is at most that.
    """

    label: str
    kind: str
    value: float
    error: float | None
    source: str = ""
    percent: float | None = None
    sigmas: float | None = None
    is_upper_bound: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """One property under one set of conditions; entries differ from the first.

    Attributes
    ----------
    name, unit, conditions
        As in `PropertyValue`.
    entries
        The number that the others are held against, then the others.
    """

    name: str
    unit: str
    conditions: Mapping[str, float | str]
    entries: tuple[Entry, ...]

    def as_dict(self) -> JsonDict:
        """Return plain numbers, lists and mappings."""
        return asdict(self) | {"conditions": dict(self.conditions)}


def compare(
    measured: Sequence[Measured],
    *,
    more: tuple[Reference, ...] = (),
    names: Sequence[str] = (),
    against: str | None = None,
) -> list[Comparison]:
    """Compare measurements with each other and with published numbers.

    Numbers belong together whose name, unit and conditions are the same; of the
    conditions only the temperature has a tolerance (1 K among models, 5 K for published
    numbers).

    Parameters
    ----------
    measured
        Finished measurements.
    more
        Published numbers beside those of `references`.
    names
        Properties to compare; empty: all that two entries have.
    against
        Label of the entry that the others are held against; None: an experiment where
        there is one, else a published number, else the first measurement.

    Raises
    ------
    PropertyError
        Nothing can be compared, or `against` is nobody's label.
    """
    groups: dict[tuple[object, ...], list[tuple[Measured, PropertyValue]]] = {}
    for one in measured:
        for value in one.values:
            if value.value is not None and (not names or value.name in names):
                groups.setdefault(_identity(value), []).append((one, value))
    found = []
    for members in groups.values():
        entries = _entries(members, more)
        if len(entries) > 1:
            value = members[0][1]
            rated = _rate(entries, against)
            found.append(Comparison(value.name, value.unit, value.conditions, rated))
    if not found:
        there = sorted({v.name for one in measured for v in one.values})
        msg = (
            "nothing to compare: no number of one name, unit and conditions is there "
            "twice, nor published for these compositions. The measurements have "
            f"{', '.join(there) or 'no numbers'}"
        )
        raise PropertyError(msg)
    labels = {entry.label for group in found for entry in group.entries}
    if against is not None and against not in labels:
        msg = (
            f"nobody is called {against!r} here; choose of {', '.join(sorted(labels))}"
        )
        raise PropertyError(msg)
    return found


def matches(reference: Reference, value: PropertyValue) -> bool:
    """Return whether a published number is of the same property and conditions."""
    if (reference.name, reference.unit) != (value.name, value.unit):
        return False
    for key, wanted in reference.conditions.items():
        got = value.conditions.get(key)
        if key == "temperature_k":
            if got is not None and abs(float(got) - float(wanted)) > NEAR:
                return False
        elif got != wanted:
            return False
    return True


def _identity(value: PropertyValue) -> tuple[object, ...]:
    conditions = {
        key: round(float(given)) if key == "temperature_k" else given
        for key, given in value.conditions.items()
    }
    return value.name, value.unit, tuple(sorted(conditions.items(), key=str))


def _entries(
    members: Sequence[tuple[Measured, PropertyValue]], more: tuple[Reference, ...]
) -> list[Entry]:
    published: list[Reference] = []
    for one, value in members:
        known = _known(one.formula, more)
        published += [r for r in known if matches(r, value) and r not in published]
    entries = [
        Entry(
            reference.material,
            "experiment" if reference.is_measured else "published",
            reference.value,
            reference.error,
            reference.source,
        )
        for reference in published
    ]
    entries.sort(key=lambda entry: entry.kind)
    for one, value in members:
        if value.value is not None:
            entries.append(Entry(one.label, "model", value.value, value.error))
    return entries


def _known(formula: str, more: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Return what is published; nothing of what is no formula (given spectra)."""
    try:
        return find_references(formula, more)
    except PropertyError:
        return ()


def _rate(entries: list[Entry], against: str | None) -> tuple[Entry, ...]:
    first = next((e for e in entries if e.label == against), entries[0])
    others = [entry for entry in entries if entry is not first]
    return (first, *(_deviate(entry, first) for entry in others))


def _deviate(entry: Entry, first: Entry) -> Entry:
    difference = entry.value - first.value
    percent = 100 * difference / abs(first.value) if first.value else None
    known = [
        e for e in (entry.error, first.error) if e is not None and math.isfinite(e)
    ]
    combined = math.sqrt(sum(e**2 for e in known))
    return replace(
        entry,
        percent=percent,
        sigmas=abs(difference) / combined if combined > 0 else None,
        is_upper_bound=len(known) == 1,
    )
