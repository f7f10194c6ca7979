"""Identity of files."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 1 << 20


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return where FIRE keeps what it can make again; `FIRE_CACHE` names another."""
    from pathlib import Path

    given = os.environ.get("FIRE_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "fire"
