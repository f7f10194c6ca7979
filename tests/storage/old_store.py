"""A small store as FIRE at schema 0006 left it; data/README.md says what is in it."""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

ARCHIVE = Path(__file__).parent / "data" / "store_0006.tar.xz"
THEN = "/then"
"""Stands for the folder in what is packed."""


@dataclass(frozen=True)
class OldStore:
    """The store in a folder of its own: its database is at schema 0006 still."""

    folder: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/fire.db"

    @property
    def blobs(self) -> str:
        return f"{self.folder}/blobs"

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return the rows of a query, without opening it as a store."""
        with closing(sqlite3.connect(self.folder / "fire.db")) as connection:
            return [tuple(row) for row in connection.execute(query)]

    def count(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        named = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = [str(row[0]) for row in self.rows(named)]
        return {table: len(self.rows(f'SELECT 1 FROM "{table}"')) for table in tables}


def unpack_old_store(folder: Path) -> OldStore:
    """Unpack the store; every path in it leads to this folder."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    script = (folder / "fire.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(folder / "fire.db")) as connection:
        connection.executescript(script.replace(THEN, str(folder)))
    return OldStore(folder)
