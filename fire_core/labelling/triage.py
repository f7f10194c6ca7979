"""Say why a calculation failed, from what the code itself said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import LabellingError, UnknownElementError
from fire_core.records import Failure, FailureKind

if TYPE_CHECKING:
    from fire_core.records import Label

MAX_FORCE: Final = 100.0
"""eV/Å; beyond it a structure is broken, whatever the code says."""

# Messages of tblite 0.8, read off real failures.
PATTERNS: Final = (
    (FailureKind.NOT_CONVERGED, r"SCF not converged"),
    (FailureKind.UNKNOWN_ELEMENT, r"No support for elements"),
    (FailureKind.BAD_GEOMETRY, r"failed to solve eigenvalue problem|too close"),
)


def classify(error: BaseException, log: str = "") -> Failure:
    """Return the failure record of an exception and the code's output."""
    tail = "\n".join(log.strip().splitlines()[-20:])
    if isinstance(error, LabellingError):
        return Failure(FailureKind(error.kind), error.reason, error.log_tail or tail)
    if isinstance(error, UnknownElementError):
        return Failure(FailureKind.UNKNOWN_ELEMENT, str(error), tail)
    text = f"{error}\n{log}"
    for kind, pattern in PATTERNS:
        if re.search(pattern, text):
            return Failure(kind, _first_line(error), tail)
    return Failure(FailureKind.CRASHED, _first_line(error), tail)


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
