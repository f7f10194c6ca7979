"""How a dashboard is set up: its store, who may enter, and by which door."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dashboard.access.roles import Role

SESSION_S: Final = 12 * 3600
"""After so long a person gives their password again."""
LARGEST: Final = 64 * 1024
"""Bytes of a request; nothing that is sent here is larger."""


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """Everything that a dashboard is started with.

    Attributes
    ----------
    db, blobs
        The store.
    auth
        `NAME:PASSWORD` of an operator, beside whom the file names.
    people
        The password file; None: none.
    proxy_header
        Name of the header in which a reverse proxy says who somebody is; None: none.
    trusted
        Addresses and networks of that proxy.
    stranger
        Role of somebody whom the proxy names and the file does not; None: no entry.
    is_local
        Whether it listens on this machine alone: without any of the above whoever
        reaches it is an operator there, and may only look elsewhere.
    prefect
        Address of Prefect's pages, for links; empty: none.
    """

    db: str
    blobs: str
    auth: str | None = None
    people: Path | None = None
    proxy_header: str | None = None
    trusted: tuple[str, ...] = ("127.0.0.1/32", "::1/128")
    stranger: Role | None = Role.VIEWER
    is_local: bool = True
    prefect: str = ""
    title: str = field(default="FIRE")

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are."""
        return not (self.auth or self.people or self.proxy_header)

    def trusts(self, address: str | None) -> bool:
        """Return whether an address is the proxy's."""
        try:
            host = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        return any(host in ipaddress.ip_network(net) for net in self.trusted)
