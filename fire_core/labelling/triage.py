"""Find the cause of a failed calculation in the output of its code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import LabellingError, UnknownElementError
from fire_core.records import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.records import Label

MAX_FORCE: Final = 100.0
"""eV/Å; beyond it a structure is broken, whatever the code says."""

TAIL: Final = 30
"""Lines of a code's output that a failure keeps."""

FIXES: Final = {
    FailureKind.NOT_CONVERGED: "raise theory.max_iterations, or "
    "theory.electronic_temperature where a metal is near (another theory)",
    FailureKind.UNKNOWN_ELEMENT: "choose a theory that knows the element",
    FailureKind.BAD_GEOMETRY: "leave it: the structure is not physical",
    FailureKind.NOT_FINITE: "look at its work folder; often atoms that coincide",
    FailureKind.ABSURD_FORCES: "leave it: the structure is not physical",
    FailureKind.TIMEOUT: "raise label.timeout or label.cores, then `fire label retry`",
    FailureKind.CRASHED: "look at its work folder, then `fire label retry`",
    FailureKind.OUT_OF_MEMORY: "lower label.workers or raise label.cores on more "
    "memory, then `fire label retry`",
    FailureKind.MISSING_POTENTIAL: "install the potential on every machine of the "
    "pool, then `fire label retry`",
    FailureKind.TOO_MANY_ATTEMPTS: "its labelling process died each time: look for "
    "its log, mostly memory, then `fire label retry`",
}
"""What a person can do about each kind of failure."""

OUT_OF_MEMORY: Final = (
    FailureKind.OUT_OF_MEMORY,
    r"bad_alloc|out of memory|cannot allocate memory",
)
FRAME: Final = re.compile(r"^[|/\\_O\s]+")  # what CP2K draws beside an error


def classify(
    error: BaseException,
    log: str = "",
    *,
    causes: Sequence[tuple[FailureKind, str]] = (),
) -> Failure:
    """Return the failure record of an exception and the code's output.

    Parameters
    ----------
    error
        What was raised.
    log
        What the code wrote.
    causes
        Patterns of its labeller that tell a cause; first match counts.
    """
    tail = tail_of(log)
    if isinstance(error, LabellingError):
        kind = FailureKind(error.kind)
        return Failure(kind, error.reason, error.log_tail or tail, error.workdir)
    if isinstance(error, UnknownElementError):
        return Failure(FailureKind.UNKNOWN_ELEMENT, str(error), tail)
    text = f"{error}\n{log}"
    for kind, pattern in causes:
        if re.search(pattern, text):
            return Failure(kind, _first_line(error), tail)
    return Failure(FailureKind.CRASHED, _first_line(error), tail)


def find_cause(
    output: str, causes: Sequence[tuple[FailureKind, str]]
) -> tuple[FailureKind, str] | None:
    """Return the first cause whose pattern a code's output has, and its line."""
    for kind, pattern in causes:
        match = re.search(pattern, output, re.IGNORECASE)
        if match:
            start = output.rfind("\n", 0, match.start()) + 1
            end = output.find("\n", match.end())
            lines = output[start : end if end > 0 else None].splitlines()
            words = (FRAME.sub("", line.strip(" *")) for line in lines)
            return kind, " ".join(" ".join(words).split())[:300]
    return None


def tail_of(output: str) -> str:
    """Return the last lines that a code wrote."""
    return "\n".join(output.strip().splitlines()[-TAIL:])


def check_label(label: Label) -> None:
    """Refuse a label that no calculation can mean.

    Raises
    ------
    LabellingError
        A number is not finite, or a force is beyond `MAX_FORCE`.
    """
    stress = np.zeros(6) if label.stress is None else label.stress
    finite = (
        np.isfinite(label.energy)
        and np.isfinite(label.forces).all()
        and np.isfinite(stress).all()
    )
    if not finite:
        raise LabellingError(
            FailureKind.NOT_FINITE, "the code returned NaN or infinity"
        )
    largest = float(np.abs(label.forces).max(initial=0.0))
    if largest > MAX_FORCE:
        raise LabellingError(
            FailureKind.ABSURD_FORCES,
            f"the largest force is {largest:.0f} eV/Å, expected below {MAX_FORCE:.0f}",
        )


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
