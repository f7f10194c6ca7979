"""The queue of labels: how far it is, who computes, what failed, and another try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from dashboard.access.guard import need, own_form
from dashboard.access.roles import Right, Visitor
from dashboard.acting import act, pop_message
from dashboard.rendering import render, root_of
from fire_core.errors import StoreError
from fire_core.labelling.triage import FIXES
from fire_core.records import FailureKind, LabelState

if TYPE_CHECKING:
    from fire_core.storage.label_progress import QueuedLabel
    from fire_core.storage.store import Store

router = APIRouter()
PAGE: Final = 50
HOUR: Final = 3600.0
LARGEST_ID: Final = 2**31 - 1  # of PostgreSQL's integer


@dataclass(frozen=True, slots=True)
class TheoryLine:
    """A theory level with its labels; `left_s` is None where nothing moves.

    Attributes
    ----------
    theory
        Fingerprint.
    code
        With its version.
    settings_json
        Of the calculation.
    counts
        Labels by state.
    finished
        Labels that ended within the last hour.
    core_s
        Core-seconds of those.
    left_s
        Seconds until all labels are computed, at the pace of the last hour.
    """

    theory: str
    code: str
    settings_json: str
    counts: dict[str, int]
    finished: int
    core_s: float
    left_s: float | None

    @property
    def total(self) -> int:
        """Labels in any state."""
        return sum(self.counts.values())

    @property
    def open(self) -> int:
        """Labels that are wanted or being computed."""
        return self.counts["wanted"] + self.counts["claimed"]


@dataclass(frozen=True, slots=True)
class Failed:
    """Failed labels of one cause, the latest reason and what a person can do."""

    theory: str
    kind: str
    labels: int
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """Which labels the list shows; empty: of any cause."""

    theory: str
    state: str
    cause: str = ""


@router.get("/labels")
def show(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.SEE))],
    theory: str = "",
    state: LabelState | None = None,
    cause: str = "",
    before: Annotated[int | None, Query(ge=0, le=LARGEST_ID)] = None,
) -> Response:
    """Show the queue, and a page of labels of one theory level and state."""
    store: Store = request.app.state.store()
    lines = read_theories(store)
    shown = choose(lines, theory, state, cause)
    rows = read_labels(store, shown, before)
    return render(
        request,
        "labels",
        visitor=visitor,
        told=pop_message(request),
        lines=lines,
        workers=store.labels.workers(),
        failures=read_failures(store),
        shown=shown,
        states=[s.value for s in LabelState],
        causes=[kind.value for kind in FailureKind],
        rows=rows[:PAGE],
        older=rows[PAGE - 1].id if len(rows) > PAGE else None,
        is_first=before is None,
        now=store.now(),
    )


@router.post("/labels/retry", dependencies=[Depends(own_form)])
def retry(
    request: Request,
    visitor: Annotated[Visitor, Depends(need(Right.RETRY))],
    theory: Annotated[str, Form(max_length=64)],
    cause: Annotated[str, Form(max_length=32)] = "",
) -> Response:
    """Make failed labels wanted again."""
    store: Store = request.app.state.store()

    def work() -> str:
        known = [fingerprint for fingerprint, *_ in store.theories.list()]
        if theory not in known:
            msg = f"no theory level {theory!r}; there: {', '.join(known) or 'none'}"
            raise StoreError(msg)
        number = store.labels.retry(theory, cause or None)
        return f"{number} failed label(s) are wanted again"

    act(request, visitor, Right.RETRY, f"{theory} {cause}".strip(), work)
    return RedirectResponse(f"{root_of(request)}/labels", 303)


def read_theories(store: Store) -> list[TheoryLine]:
    """Return every theory level that has labels, the busiest first."""
    lines = []
    for fingerprint, code, version, settings_json in store.theories.list():
        found = store.labels.counts(fingerprint)
        if not found:
            continue
        counts = {state.value: found.get(state, 0) for state in LabelState}
        pace = store.labels.pace(fingerprint)
        waiting = counts["wanted"] + counts["claimed"]
        left = HOUR * waiting / pace.finished if waiting and pace.finished else None
        name = f"{code} {version}"
        facts = (counts, pace.finished, pace.core_seconds, left)
        lines.append(TheoryLine(fingerprint, name, settings_json, *facts))
    return sorted(lines, key=lambda line: (-line.open, -line.total))


def read_failures(store: Store) -> list[Failed]:
    """Return the failed labels by cause, the most frequent first."""
    remedies = {kind.value: text for kind, text in FIXES.items()}
    return [
        Failed(row.theory, row.kind, row.labels, row.reason, remedies.get(row.kind, ""))
        for row in store.labels.failure_counts()
    ]


def choose(
    lines: list[TheoryLine], theory: str, state: LabelState | None, cause: str
) -> LabelFilter:
    """Return which labels to list where not all of it was asked for.

    Without a state, those that a person would look for: failed ones, else the ones
    that are being computed, wanted or done.
    """
    line = next((line for line in lines if line.theory == theory), None)
    if line is None and not theory and lines:
        line = lines[0]
    if state is None and cause:
        state = LabelState.FAILED
    if state is None and line is not None:
        order = ("failed", "claimed", "wanted", "done")
        state = LabelState(next(name for name in order if line.counts[name]))
    chosen = (state or LabelState.DONE).value
    is_cause = chosen == "failed" and cause in {kind.value for kind in FailureKind}
    return LabelFilter(
        "" if line is None else line.theory, chosen, cause if is_cause else ""
    )


def read_labels(
    store: Store, shown: LabelFilter, before: int | None
) -> list[QueuedLabel]:
    """Return a page of the list, and one label more where there is another page."""
    return store.labels.browse(
        shown.theory,
        LabelState(shown.state),
        before=before,
        kind=shown.cause or None,
        most=PAGE + 1,
    )
