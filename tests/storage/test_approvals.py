"""Requests for labels are decided once; a budget's cut gives way to a larger one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fire_core.errors import StoreError
from fire_core.records import ApprovalDecision
from fire_core.storage.approvals import ApprovalState

if TYPE_CHECKING:
    from fire_core.storage.store import Store

WHICH = ("c", 1, "selected")


@pytest.fixture
def asked(store: Store) -> Store:
    store.campaigns.open("c", "{}")
    row = store.approvals.ask(*WHICH, 96, '{"core_hours": 3.0}')
    assert (row.state, row.n_asked, row.n_approved) == (ApprovalState.PENDING, 96, None)
    return store


def test_a_request_is_made_once_and_keeps_what_was_shown(asked: Store) -> None:
    again = asked.approvals.ask(*WHICH, 12, "{}")
    assert (again.n_asked, again.price_json) == (96, '{"core_hours": 3.0}')
    assert [row.campaign for row in asked.approvals.list()] == ["c"]
    assert asked.approvals.list("other") == []


@pytest.mark.parametrize(
    ("n", "state", "approved"),
    [
        (None, ApprovalState.APPROVED, 96),
        (40, ApprovalState.APPROVED, 40),
        (0, ApprovalState.REJECTED, 0),
    ],
)
def test_a_person_decides_once(
    asked: Store, n: int | None, state: ApprovalState, approved: int
) -> None:
    row = asked.approvals.decide(*WHICH, ApprovalDecision(n, "ada", "why"))
    assert (row.state, row.n_approved, row.actor) == (state, approved, "ada")
    assert row.decided_at is not None
    assert row.decided_at >= row.asked_at
    with pytest.raises(StoreError, match=f"were {state} by ada"):
        asked.approvals.decide(*WHICH, ApprovalDecision(1, "bob"))
    assert asked.approvals.get(*WHICH) == row


@pytest.mark.parametrize("n", [-1, 97])
def test_a_number_out_of_range_is_refused(asked: Store, n: int) -> None:
    with pytest.raises(StoreError, match=f"expected 0 to 96 labels.*got {n}"):
        asked.approvals.decide(*WHICH, ApprovalDecision(n, "ada"))


def test_nobody_asked(store: Store) -> None:
    store.campaigns.open("c", "{}")
    with pytest.raises(StoreError, match="nobody asked for the labels of 'selected'"):
        store.approvals.decide(*WHICH, ApprovalDecision(1, "ada"))


def test_a_cut_of_the_budget_grows_with_it_but_a_person_s_word_stays(
    store: Store,
) -> None:
    store.campaigns.open("c", "{}")
    assert (
        store.approvals.limit(
            *WHICH, 96, ApprovalDecision(10, "budget", "poor")
        ).n_approved
        == 10
    )
    assert (
        store.approvals.limit(*WHICH, 96, ApprovalDecision(96, "budget", "")).n_approved
        == 96
    )
    test = ("c", 1, "test")
    store.approvals.ask(*test, 24, "{}")
    store.approvals.decide(*test, ApprovalDecision(5, "ada"))
    assert (
        store.approvals.limit(
            *test, 24, ApprovalDecision(2, "budget", "poor")
        ).n_approved
        == 5
    )
