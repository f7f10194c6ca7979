"""The password file: a person in each line, `NAME:ROLE:HASH`."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dashboard.access.roles import Role
from fire_core.errors import ConfigError

NAME: Final = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
SHORTEST: Final = 8
HASHER: Final = PasswordHasher()
NO_PASSWORD: Final = "-"  # noqa: S105 - known by a proxy alone
DUMMY: Final = HASHER.hash(secrets.token_hex())
"""Checked where a name is unknown, so that the answer takes as long."""


@dataclass(frozen=True, slots=True)
class Person:
    """A line of the file; `hash` is argon2's, or `-` without a password."""

    name: str
    role: Role
    hash: str


class People:
    """The password file; read again when it has changed.

    Parameters
    ----------
    path
        The file; nobody is known where there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_at: tuple[int, int] | None = None
        self._people: dict[str, Person] = {}

    def all(self) -> list[Person]:
        """Return everybody, in the order of the file."""
        return list(self._fresh().values())

    def get(self, name: str) -> Person | None:
        """Return a person, or None."""
        return self._fresh().get(name)

    def check(self, name: str, password: str) -> Person | None:
        """Return the person if the password is theirs, in the same time if not."""
        person = self.get(name)
        known = DUMMY if person is None or person.hash == NO_PASSWORD else person.hash
        try:
            HASHER.verify(known, password)
        except (VerificationError, InvalidHashError):
            return None
        return None if known is DUMMY else person

    def put(self, name: str, role: Role, password: str | None) -> None:
        """Enter a person or replace them; None: known by a proxy or token alone.

        Raises
        ------
        ConfigError
            The name or the password is none.
        """
        if not NAME.fullmatch(name):
            msg = f"expected a name of letters, digits and ._@+-, got {name!r}"
            raise ConfigError(msg)
        if password is not None and len(password) < SHORTEST:
            msg = f"expected a password of at least {SHORTEST} characters"
            raise ConfigError(msg)
        hashed = NO_PASSWORD if password is None else HASHER.hash(password)
        people = dict(self._fresh())
        people[name] = Person(name, role, hashed)
        self._write(people)

    def remove(self, name: str) -> None:
        """Forget a person.

        Raises
        ------
        ConfigError
            There is none of that name.
        """
        people = dict(self._fresh())
        if people.pop(name, None) is None:
            there = ", ".join(people) or "nobody"
            msg = f"no {name!r} in {self.path}; there: {there}"
            raise ConfigError(msg)
        self._write(people)

    def _fresh(self) -> dict[str, Person]:
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            self._read_at, self._people = None, {}
            return self._people
        stamp = (facts.st_mtime_ns, facts.st_size)
        if stamp != self._read_at:
            text = self.path.read_text(encoding="utf-8")
            self._people = _parse(text, self.path)
            self._read_at = stamp
        return self._people

    def _write(self, people: dict[str, Person]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{p.name}:{p.role.value}:{p.hash}\n" for p in people.values()]
        handle, name = tempfile.mkstemp(dir=self.path.parent)  # readable by its owner
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self.path)


def _parse(text: str, path: Path) -> dict[str, Person]:
    people = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.strip().split(":", 2)
        roles = [role.value for role in Role]
        if len(parts) != 3 or parts[1] not in roles:
            msg = (
                f"{path}, line {number}: expected NAME:ROLE:HASH with a role of "
                f"{', '.join(roles)}; `fire people add NAME` writes such lines"
            )
            raise ConfigError(msg)
        people[parts[0]] = Person(parts[0], Role(parts[1]), parts[2])
    return people
