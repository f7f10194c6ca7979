"""Allow or refuse requests, and record refused actions."""

from __future__ import annotations

import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends, HTTPException, Request, status

from dashboard.access.roles import Right, Visitor
from fire_core.errors import StoreError
from fire_core.storage.actions import REFUSED, Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.storage.store import Store

NOBODY: Final = "nobody"
SAFE: Final = ("GET", "HEAD")
WINDOW_S: Final = 300.0
MOST_FAILURES: Final = 10


class Throttle:
    """Counts failures by address; too many, and the door stays shut for a while."""

    def __init__(self, most: int = MOST_FAILURES, window_s: float = WINDOW_S) -> None:
        self.most = most
        self.window_s = window_s
        self._failures: dict[str, deque[float]] = {}

    def note(self, address: str) -> None:
        """Count a failure."""
        self._failures.setdefault(address, deque(maxlen=self.most)).append(
            time.monotonic()
        )
        if len(self._failures) > 10_000:  # addresses that gave up long ago
            limit = time.monotonic() - self.window_s
            self._failures = {
                k: times for k, times in self._failures.items() if times[-1] > limit
            }

    def is_shut(self, address: str) -> bool:
        """Return whether an address has failed too often lately."""
        times = self._failures.get(address, deque())
        return len(times) == self.most and times[0] > time.monotonic() - self.window_s


def address_of(request: Request) -> str:
    """Return where a request comes from."""
    return request.client.host if request.client else "unknown"


def see(request: Request) -> Visitor:
    """Return who is there, or turn them away."""
    throttle: Throttle = request.app.state.throttle
    carries = "authorization" in request.headers
    if carries and throttle.is_shut(address_of(request)):
        raise HTTPException(
            status.HTTP_429_TOO_MANY_REQUESTS, "too many failures; wait five minutes"
        )
    visitor: Visitor | None = request.app.state.doorkeeper.identify(request)
    if visitor is None:
        if carries:
            throttle.note(address_of(request))
        if carries or request.method not in SAFE:
            refuse(request, None, "enter", "not known, or the token has ended")
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "who are you?")
    request.state.visitor = visitor  # for the way back of a page that says no
    return visitor


Seen = Annotated[Visitor, Depends(see)]


def need(right: Right) -> Callable[[Request, Visitor], Visitor]:
    """Return the dependency of a route that asks for a right."""

    def allowed(request: Request, visitor: Seen) -> Visitor:
        if not visitor.may(right):
            refuse(request, visitor, right.value, f"a {visitor.role} may not")
            raise HTTPException(
                status.HTTP_403_FORBIDDEN,
                f"as a {visitor.role} you may not {right.value}; an operator can give "
                "you another role with `fire people add NAME --role ROLE`",
            )
        return visitor

    return allowed


def csrf_of(request: Request) -> str:
    """Return the word that forms of this session carry."""
    word = request.session.get("csrf")
    if not isinstance(word, str):
        word = secrets.token_urlsafe(24)
        request.session["csrf"] = word
    return word


async def own_form(request: Request) -> None:
    """Refuse a form that another page sent in somebody's name.

    A token is never sent by a browser on its own, so its bearer needs no such word.
    """
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    form = await request.form()
    given, own = form.get("csrf"), request.session.get("csrf")
    if not (
        isinstance(given, str)
        and isinstance(own, str)
        and secrets.compare_digest(given.encode(), own.encode())
    ):
        refuse(request, None, "form", "the form is not of this session")
        raise HTTPException(
            status.HTTP_403_FORBIDDEN, "this form is too old; load its page again"
        )


def refuse(request: Request, visitor: Visitor | None, action: str, why: str) -> None:
    """Record that something was refused; the refusal holds without a database, too."""
    who = Action(
        actor=address_of(request) if visitor is None else visitor.name,
        role=NOBODY if visitor is None else visitor.role.value,
        action=action,
        subject=request.url.path,
        outcome=REFUSED,
        detail=why,
    )
    keep(request, who)


def keep(request: Request, action: Action) -> None:
    """Record an action; where the store cannot, the log has it."""
    store: Store = request.app.state.store()
    try:
        store.actions.record(action)
    except StoreError:
        request.app.state.log.warning("not recorded: %s", action)
