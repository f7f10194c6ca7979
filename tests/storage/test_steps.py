"""A step is held by one process at a time, and by nobody after its lease."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from fire_core.campaign.leases import hold, step_lease
from fire_core.errors import LeaseLostError
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def campaign(store: Store) -> Store:
    store.campaigns.open("c", "{}")
    return store


def test_a_step_is_held_until_let_go_or_expired(campaign: Store) -> None:
    assert campaign.steps.hold("c", "train", "one", 30) is None
    assert campaign.steps.hold("c", "train", "two", 30) == "one"
    assert campaign.steps.hold("c", "md", "two", 30) is None
    assert campaign.steps.hold("c", "train", "one", -1) is None  # it runs out now
    assert campaign.steps.hold("c", "train", "two", 30) is None
    campaign.steps.release("c", "train", "one")  # not its own any more
    assert campaign.steps.hold("c", "train", "three", 30) == "two"
    campaign.steps.release("c", "train", "two")
    assert campaign.steps.hold("c", "train", "three", 30) is None


def test_those_who_want_one_step_take_turns(
    campaign: Store, url: str, tmp_path: Path
) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        with (
            Store.open(url, tmp_path / "blobs") as store,
            hold(step_lease(store, "c", "train"), lambda _: None),
        ):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    threads = [threading.Thread(target=enter, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert most == [1, 1, 1, 1]


def test_who_lost_a_step_may_not_commit(campaign: Store) -> None:
    lease = step_lease(campaign, "c", "train")
    assert lease.take() is None
    lease.check()
    campaign.steps.hold("c", "train", lease.owner, -1)
    assert campaign.steps.hold("c", "train", "heir", 30) is None
    lease.renew()
    with pytest.raises(LeaseLostError, match="train of 'c' is run by heir by now"):
        lease.check()
