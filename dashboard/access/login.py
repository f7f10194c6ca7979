"""The door: a name and a password, and the way out."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.access.guard import (
    NOBODY,
    address_of,
    keep,
    own_form,
    see,
)
from dashboard.rendering import render, root_of
from fire_core.storage.actions import REFUSED, Action

router = APIRouter()


@router.get("/login")
def ask(request: Request) -> Response:
    """Show the form to sign in."""
    if request.app.state.doorkeeper.identify(request) is not None:
        return RedirectResponse(f"{root_of(request)}/", 303)
    return render(request, "login", problem="")


@router.post("/login", dependencies=[Depends(own_form)])
def enter(
    request: Request,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=256)],
) -> Response:
    """Begin a session."""
    state, address = request.app.state, address_of(request)
    if state.throttle.is_shut(address):
        problem = "Too many failures from here; wait five minutes."
        return render(request, "login", problem=problem, status=429)
    visitor = state.doorkeeper.check_password(name, password)
    if visitor is None:
        state.throttle.note(address)
        why = "wrong name or password"
        keep(request, Action(name, NOBODY, "login", address, REFUSED, why))
        problem = "That name and password do not belong together."
        return render(request, "login", problem=problem, status=401)
    request.session.clear()  # a word from before is not one of the session after
    request.session.update(name=visitor.name, since=time.time())
    keep(request, Action(visitor.name, visitor.role.value, "login", address))
    return RedirectResponse(f"{root_of(request)}/", 303)


@router.post("/logout", dependencies=[Depends(see), Depends(own_form)])
def leave(request: Request) -> Response:
    """End a session."""
    request.session.clear()
    return RedirectResponse(f"{root_of(request)}/login", 303)
