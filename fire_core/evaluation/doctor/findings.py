"""What an examination says: findings with their severity, frames and remedy."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SHOWN_FRAMES: Final = 5
"""Frames that a finding names; the rest it counts."""


class Severity(StrEnum):
    """How much a finding matters; an error speaks against training."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class FindingKind(StrEnum):
    """What an examination can find."""

    UNREADABLE = "unreadable"
    MIXED_THEORY = "mixed_theory"
    NO_STRESS = "no_stress"
    ZERO_STRESS = "zero_stress"
    UNKNOWN_ELEMENT = "unknown_element"
    REFERENCES = "references"
    ENERGY_SCALE = "energy_scale"
    FORCE_SCALE = "force_scale"
    STRESS_SCALE = "stress_scale"
    NET_FORCE = "net_force"
    ZERO_FORCES = "zero_forces"
    REPEATED_LABELS = "repeated_labels"
    LARGE_FORCES = "large_forces"
    ENERGY_OUTLIER = "energy_outlier"
    FORCE_OUTLIER = "force_outlier"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    CONTRADICTION = "contradiction"
    LEAKAGE = "leakage"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes
    ----------
    kind, severity
        What it is about, and how much it matters.
    what
        One or two sentences with numbers and units.
    remedy
        What to do; empty where nothing needs doing.
    frames
        The first few frames concerned, counted from 0 in the file.
    n_frames
        How many frames it concerns.
    numbers
        The numbers behind it, for machines; units as in `what`.
    """

    kind: FindingKind
    severity: Severity
    what: str
    remedy: str = ""
    frames: tuple[int, ...] = ()
    n_frames: int = 0
    numbers: Mapping[str, float] = field(default_factory=dict)


def first_frames(frames: Iterable[int]) -> tuple[int, ...]:
    """Return the first few frames in order."""
    return tuple(sorted(int(f) for f in frames)[:SHOWN_FRAMES])


def order_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, errors first; within a severity as they came."""
    rank = list(Severity)
    return sorted(findings, key=lambda finding: rank.index(finding.severity))


def is_fit(findings: Sequence[Finding]) -> bool:
    """Return whether no finding speaks against training."""
    return all(finding.severity is not Severity.ERROR for finding in findings)


def describe_verdict(findings: Sequence[Finding]) -> str:
    """Return the judgement of an examination as one line."""
    counts = {s: sum(f.severity is s for f in findings) for s in Severity}
    errors, warnings = counts[Severity.ERROR], counts[Severity.WARNING]
    told = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"
    if errors:
        kinds = dict.fromkeys(
            f.kind.value for f in findings if f.severity is Severity.ERROR
        )
        return f"{told}: do not train on this yet; mend first: {', '.join(kinds)}"
    if warnings:
        return f"{told}: can be trained on; look at the warnings first"
    return "nothing speaks against training on this"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
