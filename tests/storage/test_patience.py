"""A database that is away is waited for; one that refuses is not."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text

from benchmarks.postgres import Postgres, missing_programs
from fire_core.errors import (
    ReadOnlyStoreError,
    StoreError,
    StoreUnavailableError,
)
from fire_core.records import LabelState
from fire_core.storage.claims import Finished, LeaseTerms
from fire_core.storage.store import Store
from tests.storage.conftest import THEORY, make_frames, make_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    absent = missing_programs()
    if absent is not None:
        pytest.skip(absent)
    with Postgres() as server:
        yield server


@contextmanager
def when_waiting(act: Callable[[], object]) -> Iterator[list[str]]:
    """Act when the store says that it waits; the list gains what it said."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())
            act()

    listener, logger = Listener(), logging.getLogger("fire_core")
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)


def test_a_result_outlives_a_database_that_is_killed(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    url = own_postgres.create("fire")
    with Store.open(url, tmp_path, patience_s=60) as store:
        store.theories.add(THEORY, "code", "1", "{}")
        atoms = make_frames(1)[0]
        keys = store.structures.add([atoms], source="test")
        store.labels.want(keys, THEORY)
        (mine,) = store.labels.claim(THEORY, "w", terms=LeaseTerms(60, 3))
        own_postgres.kill()
        done = Finished(mine.label_id, make_label(atoms), 1.0)
        with when_waiting(own_postgres.start) as waits:
            assert store.labels.finish_many([done], "w") == []
        assert len(waits) == 1
        assert store.labels.counts(THEORY) == {LabelState.DONE: 1}


def test_patience_ends_with_the_reason(own_postgres: Postgres, tmp_path: Path) -> None:
    url = own_postgres.create("fire")
    with Store.open(url, tmp_path, patience_s=0.5) as store:
        own_postgres.kill()
        with pytest.raises(StoreUnavailableError, match=r"is away .*waited"):
            store.structures.count()
        with pytest.raises(StoreUnavailableError, match="the database is away"):
            store.usage.add("c", 0, "label", wall_s=1, core_s=1)
        with pytest.raises(StoreUnavailableError, match="the database is away"):
            Store.open(url, tmp_path)
        own_postgres.start()


def test_what_only_a_person_mends_is_not_waited_for(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    with when_waiting(own_postgres.stop) as waits:
        with pytest.raises(StoreError, match='database "nowhere" does not exist'):
            Store.open(own_postgres.url("nowhere"), tmp_path, patience_s=60)
        assert waits == []


def test_a_full_disk_is_waited_for(url: str, tmp_path: Path) -> None:
    """SQLite tells of a full disk by the same error as when pages run out."""
    if not url.startswith("sqlite"):
        pytest.skip("PostgreSQL's own disk is not filled here")
    with Store.open(url, tmp_path / "blobs", patience_s=0.5) as store:

        def fill() -> None:
            with store.engine.connect() as connection:
                raw = connection.connection.dbapi_connection
                assert raw is not None
                raw.execute("PRAGMA max_page_count=1")

        fill()
        with pytest.raises(StoreUnavailableError, match="disk is full"):
            store.structures.add(make_frames(400), source="test")
        assert store.structures.count() == 0  # all or nothing
        with store.engine.connect() as connection:
            connection.execute(text("PRAGMA max_page_count=1073741823"))
        assert len(store.structures.add(make_frames(400), source="test")) == 400


@pytest.mark.parametrize(
    "url", ["postgresql://fire:secret@host/fire", "mysql://host/fire"]
)
def test_a_url_with_a_password_or_of_another_database_is_refused(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(
        StoreError, match=r"set PGPASSWORD|expected a database URL"
    ) as e:
        Store.open(url, tmp_path)
    assert "secret" not in str(e.value)


def test_a_database_that_may_only_be_read_says_so(tmp_path: Path) -> None:
    url, blobs = f"sqlite:///{tmp_path}/fire.db", tmp_path / "blobs"
    Store.open(url, blobs).close()
    with Store.open(url, blobs) as store:
        event.listen(store.engine, "connect", _only_reading)
        store.engine.dispose()
        assert store.structures.count() == 0
        with pytest.raises(ReadOnlyStoreError, match="takes no changes"):
            store.theories.add("t", "code", "1", "{}")


def _only_reading(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON")
