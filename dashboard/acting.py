"""Do what somebody asks for, keep a record of it, and tell them how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dashboard.access.guard import keep
from dashboard.rendering import FRAGMENT
from fire_core.errors import StoreError, StoreUnavailableError
from fire_core.storage.actions import DONE, REFUSED, Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Request

    from dashboard.access.roles import Right, Visitor

TOLD: Final = "told"
"""Of the session: what the next page says."""


def act(
    request: Request,
    visitor: Visitor,
    right: Right,
    subject: str,
    work: Callable[[], str],
) -> None:
    """Do something and record it, also where the store refuses.

    Parameters
    ----------
    request
        Asks for it; its session tells the next page how it went.
    visitor
        Who asks; the right was looked at before.
    right
        By which it is done.
    subject
        What it is done to.
    work
        Does it; returns what it came to, one sentence.

    Raises
    ------
    StoreError
        The store refuses; its message is on record.
    """
    try:
        text = work()
    except StoreUnavailableError:
        raise
    except StoreError as error:
        note(request, visitor, right, (subject, REFUSED, str(error)))
        raise
    note(request, visitor, right, (subject, DONE, text))
    request.session[TOLD] = text


def note(
    request: Request, visitor: Visitor, right: Right, what: tuple[str, str, str]
) -> None:
    """Record a subject, its outcome and the detail."""
    subject, outcome, detail = what
    role = visitor.role.value
    keep(
        request,
        Action(visitor.name, role, right.value, subject, outcome, detail),
    )


def pop_message(request: Request) -> str:
    """Return how the last action went, once; a refresh of a part leaves it there."""
    if FRAGMENT in request.headers:
        return ""
    return str(request.session.pop(TOLD, ""))
