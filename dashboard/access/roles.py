"""Roles of people, and the rights that each has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Who somebody is, from the least to the most."""

    VIEWER = "viewer"
    MEMBER = "member"
    OPERATOR = "operator"


class Right(StrEnum):
    """What may be done on the dashboard."""

    SEE = "see"
    DOWNLOAD = "download"
    APPROVE = "approve"
    RETRY = "retry"
    PROMOTE = "promote"
    ROLL_BACK = "roll back"


LEAST: Final = {
    Right.SEE: Role.VIEWER,
    Right.DOWNLOAD: Role.VIEWER,
    Right.APPROVE: Role.MEMBER,
    Right.RETRY: Role.MEMBER,
    Right.PROMOTE: Role.OPERATOR,
    Right.ROLL_BACK: Role.OPERATOR,
}
"""The least role that has each right."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is known.

    Attributes
    ----------
    name
        As actions are signed with.
    role
        What they are.
    way
        How they are known: `password`, `proxy`, `token` or `open`.
    """

    name: str
    role: Role
    way: str

    def may(self, right: Right | str) -> bool:
        """Return whether the role has a right."""
        order = list(Role)
        return order.index(self.role) >= order.index(LEAST[Right(right)])
