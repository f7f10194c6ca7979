"""Theory levels of a store by what people call them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fire_core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.storage.store import Store


@dataclass(frozen=True, slots=True)
class NamedTheory:
    """A theory level: its fingerprint, program, and name where it was given one."""

    fingerprint: str
    code: str
    name: str

    def __str__(self) -> str:
        """Return it as a person reads it in a list."""
        return f"{self.fingerprint} ({', '.join(filter(None, (self.name, self.code)))})"


def named_theories(store: Store) -> list[NamedTheory]:
    """Return every theory level of a store."""
    return [
        NamedTheory(fingerprint, code, str(json.loads(settings).get("name", "")))
        for fingerprint, code, _, settings in store.theories.list()
    ]


def find_theories(
    store: Store, words: str, code: str | None = None
) -> list[NamedTheory]:
    """Return the levels of a fingerprint or a name, with `code` those of a program."""
    return [
        theory
        for theory in named_theories(store)
        if theory.fingerprint == words
        or (theory.name == words and code in {None, theory.code})
    ]


def only_theory(found: Sequence[NamedTheory], words: str) -> NamedTheory:
    """Return the one that was found.

    Raises
    ------
    StoreError
        Several are called so.
    """
    if len(found) > 1:
        levels = ", ".join(map(str, found))
        msg = f"several theory levels are called {words!r}: {levels}; give one's digits"
        raise StoreError(msg)
    return found[0]


def need_theory(store: Store, words: str) -> str:
    """Return the fingerprint of the level that a person means.

    Raises
    ------
    StoreError
        There is none of that fingerprint or name, or several are called so.
    """
    found = find_theories(store, words)
    if not found:
        there = ", ".join(map(str, named_theories(store))) or "none"
        msg = f"no theory level {words!r} in the store; there: {there}"
        raise StoreError(msg)
    return only_theory(found, words).fingerprint
