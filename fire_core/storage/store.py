"""The structure database: one object that every task opens, uses and closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from fire_core.storage.blobs import BlobStore
from fire_core.storage.campaigns import CampaignTables
from fire_core.storage.engine import open_engine
from fire_core.storage.labels import LabelTables
from fire_core.storage.promotions import PromotionTables
from fire_core.storage.runs import RunTables

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


class Store(LabelTables, CampaignTables, RunTables, PromotionTables):
    """The SQL database of structures, labels, campaigns and models.

    Every method is one transaction. Safe for threads and processes at once.
    Open with `Store.open`, use as a context manager.

    Attributes
    ----------
    blobs
        Files under their sha256.
    """

    def __init__(self, engine: Engine, blobs: BlobStore) -> None:
        self.engine = engine
        self.blobs = blobs

    @classmethod
    def open(cls, url: str, blobs: str | Path) -> Self:
        """Open a database, made and migrated where needed.

        Raises
        ------
        SchemaTooNewError
            A newer FIRE wrote it.
        StoreError
            The URL cannot be opened.
        """
        return cls(open_engine(url), BlobStore(blobs))

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
