"""Labels wait until somebody who may decides, once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from dashboard.access.roles import Role
from fire_core.records import ApprovalDecision
from fire_core.storage.approvals import ApprovalState
from tests.dashboard.lab import EVIL, Lab, build, enter
from tests.dashboard.test_labels import words

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.storage.approvals import ApprovalRow

PATH = "/approve/salt/2/selected"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build(tmp_path)


def stored(lab: Lab) -> ApprovalRow:
    with lab.store() as store:
        row = store.approvals.get("salt", 2, "selected")
    assert row is not None
    return row


def test_the_price_and_the_oddest_structures_are_shown(lab: Lab) -> None:
    price = {
        "chosen": 80, "missing": 80, "core_hours": 8.0, "based_on": 30,
        "spent_labels": 10, "spent_core_hours": 1.5,
        "budget": f"budget.labels = 50 {EVIL}",
        "oddest": [
            {"structure": lab.facts["structure"], "stands_for": 2, "distance": 0.25}
        ],
    }  # fmt: skip
    with lab.store() as store:
        store.approvals.ask("salt", 3, "selected", 40, json.dumps(price))
    page = enter(lab, Role.MEMBER).get("/approve")
    text = words(page)
    assert "about 12.5 core-hours for all 96 missing labels" in text
    assert "about 8 core-hours for all 80 missing labels, 4 for the first 40" in text
    assert "estimated from 30 past ones" in text
    assert "1.5 core-hours for 10 labels" in text
    assert f"/structures/{lab.facts['structure']}" in page.text
    assert "only the first 40 are asked for: budget.labels = 50" in text
    assert EVIL not in page.text


@pytest.mark.parametrize(
    ("fields", "n", "state"),
    [
        ({"what": "all"}, 96, ApprovalState.APPROVED),
        ({"what": "first", "first": "7"}, 7, ApprovalState.APPROVED),
        ({"what": "reject", "first": "7"}, 0, ApprovalState.REJECTED),
    ],
)
def test_a_member_decides(
    lab: Lab, fields: dict[str, str], n: int, state: ApprovalState
) -> None:
    browser = enter(lab, Role.MEMBER)
    answer = browser.post(PATH, reason=f"because {EVIL}", **fields)
    assert answer.status_code == httpx.codes.SEE_OTHER
    row = stored(lab)
    assert (row.n_approved, row.state, row.actor) == (n, state, "max")
    assert row.reason == f"because {EVIL}"
    with lab.store() as store:
        last = store.actions.list(1)[0].action
    assert (last.actor, last.action, last.subject) == (
        *("max", "approve"), "salt/2/selected",
    )  # fmt: skip
    page = browser.get("/approve")
    assert "Nothing waits." in page.text
    assert f"{n} of 96" in words(page)
    assert EVIL not in page.text


def test_the_second_of_two_sees_who_was_first(lab: Lab) -> None:
    browser = enter(lab, Role.OPERATOR)
    word = browser.csrf()
    with lab.store() as store:
        store.approvals.decide("salt", 2, "selected", ApprovalDecision(5, "grace"))
    answer = browser.request("POST", PATH, data={"csrf": word, "what": "all"})
    assert answer.status_code == httpx.codes.CONFLICT
    assert "approved by grace (5 of 96)" in answer.text
    assert stored(lab).n_approved == 5
    with lab.store() as store:
        last = store.actions.list(1)[0].action
    assert (last.actor, last.outcome) == ("olga", "refused")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"what": "first", "first": "97"}, httpx.codes.CONFLICT),
        ({"what": "first", "first": "-1"}, httpx.codes.UNPROCESSABLE_ENTITY),
        ({"what": "first", "first": "²"}, httpx.codes.UNPROCESSABLE_ENTITY),
        ({"what": "first"}, httpx.codes.UNPROCESSABLE_ENTITY),
        ({"what": "perhaps"}, httpx.codes.UNPROCESSABLE_ENTITY),
        ({}, httpx.codes.UNPROCESSABLE_ENTITY),
    ],
)
def test_a_number_out_of_range_decides_nothing(
    lab: Lab, fields: dict[str, str], code: int
) -> None:
    assert enter(lab, Role.MEMBER).post(PATH, **fields).status_code == code
    assert stored(lab).state is ApprovalState.PENDING


def test_what_nobody_asked_for_is_refused(lab: Lab) -> None:
    answer = enter(lab, Role.MEMBER).post("/approve/salt/9/selected", what="all")
    assert answer.status_code == httpx.codes.CONFLICT
    assert "nobody asked for the labels" in answer.text


def test_a_viewer_sees_no_form_and_may_not(lab: Lab) -> None:
    browser = enter(lab, Role.VIEWER)
    assert "Approve all" not in browser.get("/approve").text
    answer = browser.post(PATH, what="all")
    assert answer.status_code == httpx.codes.FORBIDDEN
    assert stored(lab).state is ApprovalState.PENDING
    with lab.store() as store:
        last = store.actions.list(1)[0].action
    assert (last.actor, last.action, last.outcome) == ("vera", "approve", "refused")
