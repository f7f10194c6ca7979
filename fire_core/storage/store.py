"""The structure database: one object that every task opens, uses and closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from fire_core.storage.actions import Actions
from fire_core.storage.approvals import Approvals
from fire_core.storage.blobs import BlobStore
from fire_core.storage.campaigns import Campaigns
from fire_core.storage.datasets import Datasets
from fire_core.storage.engine import open_engine
from fire_core.storage.evaluations import Evaluations
from fire_core.storage.labels import Labels
from fire_core.storage.models import Models
from fire_core.storage.properties import Properties
from fire_core.storage.runs import Runs
from fire_core.storage.selections import Selections
from fire_core.storage.steps import Steps
from fire_core.storage.structures import Structures
from fire_core.storage.theories import Theories
from fire_core.storage.transaction import Database, wait_for
from fire_core.storage.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


DEFAULT_PATIENCE_S: Final = 0.0


class Store:
    """The SQL database of structures, labels, campaigns and models.

    Every method of its parts is one transaction, repeated while the database is away
    for as long as `patience_s` allows; see `storage.transaction`. Safe for threads and
    processes at once. Open with `Store.open`, use as a context manager.

    Attributes
    ----------
    blobs
        Files under their sha256.
    database
        What the parts are transactions on.
    """

    def __init__(
        self, engine: Engine, blobs: BlobStore, patience_s: float = DEFAULT_PATIENCE_S
    ) -> None:
        database = Database(engine, patience_s)
        self.database = database
        self.blobs = blobs
        self.structures = Structures(database)
        self.theories = Theories(database)
        self.labels = Labels(database)
        self.campaigns = Campaigns(database)
        self.selections = Selections(database)
        self.datasets = Datasets(database)
        self.usage = Usage(database)
        self.runs = Runs(database)
        self.models = Models(database, blobs)
        self.evaluations = Evaluations(database)
        self.approvals = Approvals(database)
        self.steps = Steps(database)
        self.properties = Properties(database, blobs)
        self.actions = Actions(database)

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

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine of the database."""
        return self.database.engine

    def ping(self) -> None:
        """Check that the database answers."""
        self.database.ping()

    def now(self) -> float:
        """Return the seconds since 1970 by the database's clock."""
        return self.database.now()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
