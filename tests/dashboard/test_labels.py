"""The queue of labels: counted, explained, tried again by who may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from dashboard.access.roles import Role
from fire_core.records import Failure, FailureKind, LabelState
from fire_core.storage.claims import LeaseTerms
from tests.dashboard.lab import EVIL, Browser, Lab, build, enter, words

if TYPE_CHECKING:
    from pathlib import Path

THEORY = "theory-1"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build(tmp_path)


def test_counts_pace_and_what_is_left(lab: Lab) -> None:
    text = words(enter(lab, Role.VIEWER).get("/labels"))
    # 9 done, 1 failed, 1 wanted; ten within the hour, so six minutes for one more
    assert "9 0 1 1 10 labels, 0.09 core-h 6 min" in text
    assert "Nobody computes labels now." in text


def test_a_late_worker_is_marked(lab: Lab) -> None:
    with lab.store() as store:
        store.labels.claim(THEORY, "host:7", terms=LeaseTerms(-120.0, 3))
    text = words(enter(lab, Role.VIEWER).get("/labels"))
    assert "host:7 theory-1 1 late ran out 2 min ago" in text


def test_a_failure_is_told_with_its_remedy_and_not_as_markup(lab: Lab) -> None:
    page = enter(lab, Role.MEMBER).get("/labels")
    assert EVIL not in page.text
    assert "&lt;img src=x" in page.text
    text = words(page)
    assert "look at its work folder, then `fire label retry`" in text
    assert "Retry 1" in text
    assert f"log {EVIL}" in text.replace("&lt;", "<").replace("&gt;", ">")


def test_the_list_is_paged_by_state_and_cause(lab: Lab) -> None:
    browser = enter(lab, Role.VIEWER)
    with lab.store() as store:
        done = store.labels.browse(THEORY, LabelState.DONE)
    page = browser.get(f"/labels?theory={THEORY}&state=done&before={done[4].id}")
    keys = [row.label.key for row in done]
    shown = [key for key in keys if f"/structures/{key}" in page.text]
    assert shown == keys[5:]
    crashed = browser.get(f"/labels?theory={THEORY}&state=failed&cause=crashed")
    other = browser.get(f"/labels?theory={THEORY}&state=failed&cause=timeout")
    assert "log and work folder" in crashed.text
    assert "log and work folder" not in other.text


def test_a_work_folder_is_named(lab: Lab) -> None:
    with lab.store() as store:
        (claim,) = store.labels.claim(THEORY, "w", terms=LeaseTerms(60, 3))
        why = Failure(FailureKind.TIMEOUT, "too long", workdir="/scratch/run-7")
        store.labels.fail(claim.label_id, "w", why, 1.0)
    page = enter(lab, Role.VIEWER).get("/labels?state=failed&cause=timeout")
    assert "/scratch/run-7" in page.text


def test_a_member_retries_one_cause_and_it_is_recorded(lab: Lab) -> None:
    browser = enter(lab, Role.MEMBER)
    answer = browser.post("/labels/retry", theory=THEORY, cause="crashed")
    assert answer.status_code == httpx.codes.SEE_OTHER
    with lab.store() as store:
        assert store.labels.counts()[LabelState.WANTED] == 2
        (last,) = store.actions.list(1)
    assert (last.action.actor, last.action.action) == ("max", "retry")
    assert last.action.subject == f"{THEORY} crashed"
    assert last.action.detail == "1 failed label(s) are wanted again"
    told = "1 failed label(s) are wanted again"
    assert told in browser.get("/labels").text
    assert told not in browser.get("/labels").text


def test_another_cause_and_an_unknown_theory_change_nothing(lab: Lab) -> None:
    browser = enter(lab, Role.MEMBER)
    browser.post("/labels/retry", theory=THEORY, cause="timeout")
    answer = browser.post("/labels/retry", theory="nonsense")
    assert answer.status_code == httpx.codes.CONFLICT
    assert "no theory level" in answer.text
    with lab.store() as store:
        assert store.labels.counts()[LabelState.FAILED] == 1
        assert store.actions.list(1)[0].action.outcome == "refused"


def test_a_viewer_may_not_retry(lab: Lab) -> None:
    browser: Browser = enter(lab, Role.VIEWER)
    assert "Retry 1" not in browser.get("/labels").text
    answer = browser.post("/labels/retry", theory=THEORY)
    assert answer.status_code == httpx.codes.FORBIDDEN
    with lab.store() as store:
        assert store.labels.counts()[LabelState.FAILED] == 1
        last = store.actions.list(1)[0].action
    assert (last.actor, last.action, last.outcome) == ("vera", "retry", "refused")


@pytest.mark.parametrize(
    "query", ["before=-1", f"before={10**30}", "state=lost", "before=x"]
)
def test_nonsense_is_not_understood(lab: Lab, query: str) -> None:
    answer = enter(lab, Role.VIEWER).get(f"/labels?{query}")
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
