"""Findings in order, and the judgement that follows from them."""

from __future__ import annotations

from fire_core.evaluation.doctor.findings import (
    Finding,
    FindingKind,
    Severity,
    describe_verdict,
    first_frames,
    is_fit,
    order_findings,
)

NOTE = Finding(FindingKind.NO_STRESS, Severity.NOTE, "none")
WARNING = Finding(FindingKind.DUPLICATE, Severity.WARNING, "twice")
ERROR = Finding(FindingKind.NET_FORCE, Severity.ERROR, "pulled")
OTHER = Finding(FindingKind.LEAKAGE, Severity.ERROR, "leaks")


def test_errors_come_first_and_keep_their_order() -> None:
    assert order_findings([NOTE, ERROR, WARNING, OTHER]) == [
        ERROR,
        OTHER,
        WARNING,
        NOTE,
    ]


def test_only_an_error_speaks_against_training() -> None:
    assert describe_verdict([NOTE]) == "nothing speaks against training on this"
    assert describe_verdict([NOTE, WARNING]).startswith("0 errors, 1 warning: can be")
    assert describe_verdict([WARNING, ERROR, OTHER]) == (
        "2 errors, 1 warning: do not train on this yet; mend first: net_force, leakage"
    )
    assert is_fit([NOTE, WARNING])
    assert not is_fit([NOTE, ERROR])


def test_a_finding_names_its_first_frames() -> None:
    assert first_frames([9, 3, 7, 1, 8, 2]) == (1, 2, 3, 7, 8)
