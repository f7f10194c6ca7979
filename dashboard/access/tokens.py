"""Signed words: a person's token for scripts, with the day that it ends."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING, Final

from itsdangerous import BadSignature, URLSafeSerializer

if TYPE_CHECKING:
    from pathlib import Path

SALT: Final = "fire-token"


def read_secret(path: Path | None) -> str:
    """Return the key that sessions and tokens are signed with.

    It lies beside the password file, made where it is missing, so that sessions and
    tokens outlast a restart; without a file it is a new one.
    """
    if path is None:
        return secrets.token_hex(32)
    place = path.with_name(path.name + ".secret")
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(32))
    return place.read_text(encoding="utf-8").strip()


def make_token(secret: str, name: str, days: float) -> str:
    """Return a token by which a script is somebody for some days."""
    until = time.time() + 86400 * days
    return str(URLSafeSerializer(secret, SALT).dumps([name, until]))


def read_token(secret: str, token: str) -> str | None:
    """Return whose token it is; None where it is false or has ended."""
    try:
        name, until = URLSafeSerializer(secret, SALT).loads(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return str(name) if until > time.time() else None
