"""Open sets: what FIRE brings, and what other packages add by entry points.

A package adds to a set by an entry point in the group of that set, for example in its
``pyproject.toml``::

    [project.entry-points."fire.selectors"]
    corners = "my_package.corners:choose_corners"

The name on the left is what a campaign file says. Nothing is imported before a member
is asked for by its name.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import (
    EntryPoint,
    PackageNotFoundError,
    entry_points,
    version,
)
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from fire_core.errors import ExtensionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed, in order."""
    found = {}
    for name in dict.fromkeys(names):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@dataclass(frozen=True, slots=True)
class Registry(Generic[T]):
    """The members of an open set by name.

    Attributes
    ----------
    group
        Group of the entry points that add to it, for example `fire.selectors`.
    what
        One member in words, for messages.
    builtin
        Name → `module:attribute` of what FIRE brings.
    expected
        `module:class` that every member is an instance of; empty: of any.
    """

    group: str
    what: str
    builtin: Mapping[str, str]
    expected: str = ""

    def names(self) -> list[str]:
        """Return every name: FIRE's own in their order, then those of others.

        Raises
        ------
        ExtensionError
            Two packages, or a package and FIRE, use one name.
        """
        return [*self.builtin, *sorted(self._added())]

    def __contains__(self, name: object) -> bool:
        """Return whether there is a member of that name."""
        return name in self.builtin or name in self._added()

    def load(self, name: str) -> T:
        """Import and return a member.

        Raises
        ------
        ExtensionError
            There is none of that name, or its package cannot be imported.
        """
        if name in self.builtin:
            module, _, attribute = self.builtin[name].partition(":")
            return cast("T", getattr(importlib.import_module(module), attribute))
        point = self._added().get(name)
        if point is None:
            msg = (
                f"unknown {self.what} {name!r}: expected one of "
                f"{', '.join(self.names())}, or install the package that adds it "
                f"(entry point group {self.group})"
            )
            raise ExtensionError(msg)
        try:
            return cast("T", self._checked(point, point.load()))
        except (ImportError, AttributeError) as error:
            msg = (
                f"the {self.what} {name!r} of {_package(point)} cannot be loaded from "
                f"{point.value}: {error}; repair or uninstall that package"
            )
            raise ExtensionError(msg) from error

    def package(self, name: str) -> str:
        """Return the distribution that adds a member which FIRE does not bring."""
        return _package(self._added()[name])

    def _checked(self, point: EntryPoint, member: object) -> object:
        if not self.expected:
            return member
        module, _, name = self.expected.partition(":")
        wanted = getattr(importlib.import_module(module), name)
        if not isinstance(member, wanted):
            msg = (
                f"the {self.what} {point.name!r} of {_package(point)} should be a "
                f"{module}.{name}, but {point.value} is a {type(member).__name__}; "
                "correct the entry point"
            )
            raise ExtensionError(msg)
        return member

    def _added(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in _entry_points(self.group):
            other = "FIRE" if point.name in self.builtin else None
            if point.name in found:
                other = _package(found[point.name])
            if other is not None:
                msg = (
                    f"{_package(point)} adds a {self.what} called {point.name!r}, but "
                    f"{other} has one of that name; uninstall one, or rename its entry "
                    f"point in {self.group}"
                )
                raise ExtensionError(msg)
            found[point.name] = point
        return found


@cache
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def _package(point: EntryPoint) -> str:
    distribution: Any = point.dist
    return "a package" if distribution is None else str(distribution.name)
