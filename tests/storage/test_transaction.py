"""Methods of the store say whether they read or write, and may be repeated."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from fire_core.errors import StoreUnavailableError
from fire_core.storage.evaluation_kinds import json_kind
from fire_core.storage.transaction import Database, reading, writing, writing_once
from tests.storage.conftest import THEORY, make_frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from fire_core.storage.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Address of an empty SQLite database, whose errors and locks these are."""
    return f"sqlite:///{tmp_path}/fire.db"


def begins(store: Store) -> list[str]:
    """Return a list that fills with how transactions on SQLite begin."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    return seen


def test_what_reads_takes_no_lock_to_write(store: Store) -> None:
    (key,) = store.structures.add(make_frames(1), source="test")
    store.labels.want([key], THEORY)
    seen = begins(store)
    store.structures.get([key])
    store.structures.describe(key)
    store.labels.counts(THEORY)
    store.labels.labelled([key], THEORY)
    store.campaigns.get("c")
    store.models.list("c")
    store.evaluations.get(json_kind("gates"), "c")
    store.properties.list()
    store.ping()
    assert set(seen) == {"BEGIN"}
    seen.clear()
    store.campaigns.open("c", "{}")
    store.usage.add("c", 0, "label", wall_s=1.0, core_s=1.0)
    assert seen == ["BEGIN IMMEDIATE", "BEGIN", "BEGIN IMMEDIATE"]  # the ping between


@dataclass
class Flaky:
    """A part of a store whose every first attempt finds the database busy."""

    database: Database
    attempts: list[str] = field(default_factory=list)


def fail_once(connection: Connection, attempts: list[str], word: str) -> str:
    """Return the word at the second attempt."""
    connection.exec_driver_sql("SELECT 1")
    attempts.append(word)
    if len(attempts) < 2:
        busy = sqlite3.OperationalError("database is locked")
        raise OperationalError("SELECT 1", None, busy)
    return word


@pytest.mark.parametrize("wrap", [reading, writing])
def test_what_may_be_repeated_is(store: Store, wrap: Callable[..., Any]) -> None:
    part = Flaky(Database(store.engine, 30.0))
    assert wrap(fail_once)(part, part.attempts, word="done") == "done"
    assert part.attempts == ["done", "done"]


def test_what_would_act_twice_is_never_repeated(store: Store) -> None:
    part = Flaky(Database(store.engine, 30.0))
    with pytest.raises(StoreUnavailableError, match=r"is away \(database is locked\)"):
        writing_once(fail_once)(part, part.attempts, word="done")
    assert part.attempts == ["done"]


def test_a_method_is_named_and_told_of_as_its_function() -> None:
    method = writing(fail_once)
    assert method.__name__ == "fail_once"
    assert method.__doc__ == "Return the word at the second attempt."
