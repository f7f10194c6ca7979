"""The structure database: one object that every task opens, uses and closes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final, Self

from sqlalchemy import select

from fire_core.storage.actions import ActionTables
from fire_core.storage.approvals import ApprovalTables
from fire_core.storage.blobs import BlobStore
from fire_core.storage.browsing.campaigns import CampaignBrowsing
from fire_core.storage.browsing.labels import LabelBrowsing
from fire_core.storage.browsing.properties import PropertyBrowsing
from fire_core.storage.browsing.structures import StructureBrowsing
from fire_core.storage.campaigns import CampaignTables
from fire_core.storage.engine import database_time, open_engine, reading
from fire_core.storage.labels import LabelTables
from fire_core.storage.patience import outlast, wait_for
from fire_core.storage.promotions import PromotionTables
from fire_core.storage.properties import PropertyTables
from fire_core.storage.runs import RunTables
from fire_core.storage.steps import StepTables

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


DEFAULT_PATIENCE_S: Final = 0.0


class Store(
    LabelTables,
    CampaignTables,
    RunTables,
    PromotionTables,
    ApprovalTables,
    StepTables,
    PropertyTables,
    ActionTables,
    StructureBrowsing,
    LabelBrowsing,
    CampaignBrowsing,
    PropertyBrowsing,
):
    """The SQL database of structures, labels, campaigns and models.

    Every method is one transaction, repeated while the database is away for as long
    as `patience_s` allows. Safe for threads and processes at once.
    Open with `Store.open`, use as a context manager.

    Attributes
    ----------
    blobs
        Files under their sha256.
    patience_s
        Seconds that a method waits for a database that is away.
    """

    def __init__(
        self, engine: Engine, blobs: BlobStore, patience_s: float = DEFAULT_PATIENCE_S
    ) -> None:
        self.engine = engine
        self.blobs = blobs
        self.patience_s = patience_s
        from fire_core.storage.evaluations import Evaluations

        self.evaluations = Evaluations(self)

    @classmethod
    def open(
        cls, url: str, blobs: str | Path, *, patience_s: float = DEFAULT_PATIENCE_S
    ) -> Self:
        """Open a database, made and migrated where needed.

        Parameters
        ----------
        url
            sqlite:///PATH or postgresql://USER@HOST/DATABASE, without a password.
        blobs
            Folder of the files.
        patience_s
            Seconds that this and every method waits for a database that is away.

        Raises
        ------
        SchemaTooNewError
            A newer FIRE wrote it.
        StoreError
            The URL cannot be opened.
        StoreUnavailableError
            The database is away.
        """
        engine = wait_for(patience_s, lambda: open_engine(url))
        return cls(engine, BlobStore(blobs), patience_s)

    def ping(self) -> None:
        """Ask the database for an answer."""
        with reading(self.engine) as connection:
            connection.execute(select(1))

    def now(self) -> float:
        """Return the seconds since 1970 by the database's clock."""
        with reading(self.engine) as connection:
            return database_time(connection)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


UNREPEATED: Final = {"add_usage", "promote_model", "rollback_model", "record_action"}
"""Methods that would act twice where the answer to a commit was lost."""


def _make_patient() -> None:
    """Let every public method wait for the database."""
    for part in Store.__mro__:
        for name, method in list(vars(part).items()):
            if inspect.isfunction(method) and not name.startswith("_"):
                patient = outlast(getattr(Store, name), repeat=name not in UNREPEATED)
                if name != "close":
                    setattr(Store, name, patient)


_make_patient()
