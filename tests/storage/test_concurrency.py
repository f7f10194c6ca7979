"""Many threads and two writers of one thing, on both databases."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sqlalchemy import text

from fire_core.storage.models import EpochRow, replace_epoch
from fire_core.storage.store import Store
from fire_core.storage.transaction import read_transaction, write_transaction
from tests.events import wait_for

if TYPE_CHECKING:
    from pathlib import Path

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def test_as_many_transactions_as_threads_ask_for(store: Store) -> None:
    """A pool's limit would end a thread's patience after half a minute."""
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(read_transaction(store.engine))
            assert connection.execute(text("SELECT 1")).scalar() == 1


def test_two_writers_of_one_epoch_follow_each_other(
    postgres_database: str, tmp_path: Path
) -> None:
    """A process that was given up for dead may be alive."""
    problems: list[BaseException] = []

    def save() -> None:
        try:
            store.models.save_epoch("c", "fire", 3, "{}", b"second")
        except BaseException as error:  # noqa: BLE001 - told to the test
            problems.append(error)

    with Store.open(postgres_database, tmp_path / "blobs") as store:
        store.campaigns.open("c", "{}")
        second = threading.Thread(target=save)
        with write_transaction(store.engine) as connection:
            replace_epoch(connection, "c", "fire", EpochRow(3, "{}", None))
            second.start()

            def is_waiting() -> bool:
                with read_transaction(store.engine) as other:
                    return bool(other.execute(text(WAITING)).scalar())

            wait_for(is_waiting)
        second.join()
        assert problems == []
        assert [row.epoch for row in store.models.epochs("c", "fire")] == [3]
