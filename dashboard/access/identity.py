"""Identify who sends a request: by token, proxy, session or password."""

from __future__ import annotations

import base64
import getpass
import secrets
import time
from typing import TYPE_CHECKING

from dashboard.access.people import People
from dashboard.access.roles import Role, Visitor
from dashboard.access.tokens import read_secret, read_token
from dashboard.settings import SESSION_S, DashboardSettings

if TYPE_CHECKING:
    from fastapi import Request


class Authenticator:
    """Identifies people by what their requests carry.

    Parameters
    ----------
    settings
        Of the dashboard.
    """

    def __init__(self, settings: DashboardSettings) -> None:
        self.settings = settings
        self.people = None if settings.people is None else People(settings.people)
        self.secret = read_secret(settings.people)

    def identify(self, request: Request) -> Visitor | None:
        """Return who sent a request, None for a stranger.

        What is carried and wrong is never passed over for a weaker way.
        """
        settings = self.settings
        kind, _, word = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            name = read_token(self.secret, word.strip())
            return None if name is None else self._known(name, "token")
        if kind.lower() == "basic":
            return self.check_password(*_basic(word))
        if settings.proxy_header and request.client is not None:
            name = request.headers.get(settings.proxy_header)
            if name and settings.trusts(request.client.host):
                return self._by_proxy(name[:64])
        if settings.is_open:
            role = Role.OPERATOR if settings.is_local else Role.VIEWER
            name = getpass.getuser() if settings.is_local else "anybody"
            return Visitor(name, role, "open")
        return self._by_session(request)

    def check_password(self, name: str, password: str) -> Visitor | None:
        """Return the visitor whose name and password these are."""
        if self.settings.auth is not None:
            given = f"{name}:{password}".encode()
            if secrets.compare_digest(given, self.settings.auth.encode()):
                return Visitor(name, Role.OPERATOR, "password")
        person = None if self.people is None else self.people.check(name, password)
        return None if person is None else Visitor(name, person.role, "password")

    def _by_proxy(self, name: str) -> Visitor | None:
        """Return whom the proxy names: a person of the file, else a stranger."""
        known = self._known(name, "proxy")
        if known is None and self.settings.stranger is not None:
            return Visitor(name, self.settings.stranger, "proxy")
        return known

    def _by_session(self, request: Request) -> Visitor | None:
        session = request.session
        name, since = session.get("name"), session.get("since", 0)
        if not isinstance(name, str) or time.time() - since > SESSION_S:
            return None
        return self._known(name, "password")

    def _known(self, name: str, way: str) -> Visitor | None:
        """Return a person with the role that they have now."""
        if self.settings.auth is not None:
            operator = self.settings.auth.partition(":")[0]
            if secrets.compare_digest(name.encode(), operator.encode()):
                return Visitor(name, Role.OPERATOR, way)
        person = None if self.people is None else self.people.get(name)
        return None if person is None else Visitor(name, person.role, way)


def _basic(word: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(word, validate=True).decode()
    except ValueError:  # not base64, not UTF-8, not even ASCII
        return "", ""
    name, _, password = text.partition(":")
    return name, password
