"""What a campaign is made with is recorded once, and read whatever is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fire_core.errors import StoreError
from fire_core.records import ModelHash, TheoryId
from fire_core.storage.engine import migrate
from tests.storage.conftest import THEORY

if TYPE_CHECKING:
    from fire_core.storage.store import Store

ATOM_THEORY, OTHER = "theory-of-atoms", "theory-2"


def test_an_identity_is_recorded_once_and_never_changes(store: Store) -> None:
    row = store.campaigns.open("c", "{}")
    assert (row.theory, row.atom_theory, row.foundation_sha) == (None, None, None)
    row = store.campaigns.record_identity("c", theory=TheoryId(THEORY))
    assert (row.theory, row.atom_theory) == (THEORY, None)
    row = store.campaigns.record_identity(
        "c", theory=TheoryId(THEORY), atom_theory=TheoryId(ATOM_THEORY),
        foundation_sha=ModelHash("f" * 64),
    )  # fmt: skip
    assert row == store.campaigns.get("c")
    assert (row.theory, row.atom_theory) == (THEORY, ATOM_THEORY)
    assert row.foundation_sha == "f" * 64
    with pytest.raises(StoreError, match="begun with theory theory-1, now it is theo"):
        store.campaigns.record_identity("c", theory=TheoryId(OTHER))
    assert store.campaigns.record_identity("c") == row
    assert store.campaigns.list() == [row]


def test_only_a_campaign_that_is_there_has_one(store: Store) -> None:
    with pytest.raises(StoreError, match=r"no campaign 'c'; `fire campaign list`"):
        store.campaigns.record_identity("c", theory=TheoryId(THEORY))


def test_another_configuration_before_the_first_choice_is_another_identity(
    store: Store,
) -> None:
    store.campaigns.open("c", '{"seed": 1, "threads": 1}')
    store.campaigns.record_identity("c", theory=TheoryId(THEORY))
    assert store.campaigns.open("c", '{"seed": 1, "threads": 8}').theory == THEORY
    assert store.campaigns.open("c", '{"seed": 2, "threads": 8}').theory is None


def test_what_is_replaced_was_recorded_for_nothing(store: Store) -> None:
    store.campaigns.open("c", "{}")
    store.campaigns.record_identity("c", theory=TheoryId(THEORY))
    row = store.campaigns.record_identity("c", theory=TheoryId(OTHER), replace=True)
    assert row.theory == OTHER


def test_migration_0007_finds_the_foundation_of_campaigns_of_before(
    store: Store,
) -> None:
    store.campaigns.open("c", "{}")
    store.campaigns.open("bare", "{}")
    for name, parent in (("pre_fine_tuned", "f" * 64), ("fire", "a" * 64)):
        store.models.add("c", name, "b" * 64, parent_sha=parent, config_json="{}")
    migrate(store.engine, "0006")
    migrate(store.engine)
    row = store.campaigns.get("c")
    assert row is not None
    assert (row.theory, row.atom_theory) == (None, None)
    assert row.foundation_sha == "f" * 64
    bare = store.campaigns.get("bare")
    assert bare is not None
    assert bare.foundation_sha is None
