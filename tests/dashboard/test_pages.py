"""Pages say what the store holds: numbers, states and hours that can be counted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx
import pytest

from dashboard.access.roles import Role
from dashboard.pages import campaigns
from fire_core.campaign.kinds import DECISION, JUDGEMENT
from fire_core.campaign.policy import Action, Decision
from fire_core.campaign.views.overview import LastRun, describe_progress
from fire_core.storage.selections import SelectionRow
from fire_core.storage.steps import RunningStep
from tests.dashboard.lab import EVIL, Browser, Lab, build, enter, words

if TYPE_CHECKING:
    from pathlib import Path

END = Decision(Action.STOP, "no label")


def test_the_list_says_where_each_campaign_stands(viewer: Browser) -> None:
    text = words(viewer.get("/"))
    assert "waits for somebody to approve its labels" in text
    assert "1.00 0.02" in text  # 3600 core-seconds, 60 GPU-seconds
    assert "study-hidden" not in text


def run_in(kind: str, message: str = "") -> LastRun:
    return LastRun(kind, kind, message)


@pytest.mark.parametrize(
    ("late", "pending", "over", "chosen", "run", "word"),
    [
        (-5.0, False, False, True, None, "running"),
        (5.0, False, False, True, None, "gone"),
        (5.0, False, True, True, None, "finished"),
        (-5.0, True, False, True, None, "approval"),
        (None, False, True, True, None, "finished"),
        (None, False, False, True, None, "waiting"),
        (None, False, False, False, None, "new"),
        (None, False, True, True, "completed", "finished"),
        (None, False, True, True, "failed", "failed"),
        (5.0, True, False, True, "cancelled", "cancelled"),
        (-5.0, False, True, True, "failed", "running"),  # started again elsewhere
        (None, False, True, True, "running", "running"),  # writes its report
        (None, False, False, False, "scheduled", "scheduled"),
        (None, True, False, True, "paused", "approval"),
        (5.0, False, False, True, "completed", "gone"),
    ],
)
def test_a_campaign_is_in_one_state(
    *,
    late: float | None,
    pending: bool,
    over: bool,
    chosen: bool,
    run: str | None,
    word: str,
) -> None:
    step = None if late is None else RunningStep("salt", "train", "host", late)
    found = describe_progress(
        step,
        is_pending=pending,
        is_over=over,
        chosen={(0, "start"): 1} if chosen else {},
        run=None if run is None else run_in(run),
    )
    assert found.word == word


def test_a_campaign_whose_run_failed_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decided and judged, but its report was not written: the run knows."""
    lab = build(tmp_path)
    viewer = enter(lab, Role.VIEWER)
    with lab.store() as store:
        store.campaigns.open("ended", "{}")
        found = store.evaluations.list(JUDGEMENT, "salt")
        judged = next(row for row in found if row.subject == "fire")
        store.evaluations.save(DECISION, "ended", END)
        store.evaluations.save(
            JUDGEMENT, "ended", judged.value, round_=1, subject="fire"
        )
    assert "finished came to its end" in words(viewer.get("/"))
    asked: list[str] = []

    def answer(api: str) -> dict[str, LastRun]:
        asked.append(api)
        return {"ended": run_in("failed", "TypeError: scatter() missing 'y'")}

    monkeypatch.setenv("PREFECT_API_URL", "http://prefect:4200/api")
    monkeypatch.setattr(campaigns, "last_campaign_runs", answer)
    told = "its last run failed: TypeError: scatter() missing 'y'"
    assert f"failed {told}" in words(viewer.get("/"))
    assert asked == ["http://prefect:4200/api"]


def test_rounds_that_ended_without_a_judged_model_are_no_finished_campaign(
    tmp_path: Path,
) -> None:
    lab = build(tmp_path)
    viewer, start = enter(lab, Role.VIEWER), lab.chosen("start", 0)
    with lab.store() as store:
        store.campaigns.open("unjudged", "{}")
        store.selections.save("unjudged", 0, "start", SelectionRow("build", start))
        store.evaluations.save(DECISION, "unjudged", END)
    page = words(viewer.get("/campaigns/unjudged"))
    assert "unjudged waiting No step of it is held" in page
    assert "The rounds ended, stop: no label" in page


def test_who_is_in_finds_the_way_back_from_what_is_not_there(viewer: Browser) -> None:
    page = viewer.get("/campaigns/none-such")
    assert page.status_code == 404
    assert 'aria-label="Pages"' in page.text
    viewer.cookies.clear()
    page = viewer.get("/campaigns/none-such", headers={"Accept": "text/html"})
    assert 'aria-label="Pages"' not in page.text


def test_a_campaign_shows_errors_costs_and_owner(viewer: Browser) -> None:
    text = words(viewer.get("/campaigns/salt"))
    assert "FIRE 5 100 Li 100 200 0.1" in text
    assert "9 of 10" in text  # labels done of 4 perturbed, 3 selected, 3 test
    # an hour of core time, 500 meV/Å better than the foundation model
    assert "0.002 core-hours per meV/Å" in text
    assert f"Owner: {EVIL}" in text


def test_plots_hold_the_numbers_of_the_store(viewer: Browser) -> None:
    page = viewer.get("/campaigns/salt").text
    found = re.search(r'data-plot="plot-learning">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    lines = {line["name"]: line for line in json.loads(found[1])["data"]}
    assert lines["FIRE, validation"]["y"] == [90.0, 89.0, 88.0]
    assert lines["FIRE, forgetting"]["y"] == [200.0, 201.0, 202.0]
    found = re.search(r'data-plot="plot-labels">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    done, hours = json.loads(found[1])["data"][:2]
    assert done["y"] == list(range(1, 10))
    assert hours["y"][-1] == pytest.approx(9 * 36 / 3600, abs=1e-4)


def test_a_property_is_shown_with_its_interval(viewer: Browser, lab: Lab) -> None:
    assert "youngs modulus: 51.2 ± 1.1 GPa" in words(viewer.get("/properties"))
    page = words(viewer.get(f"/properties/{lab.facts['property']}"))
    assert "49 … 53.4" in page
    answer = viewer.get(f"/properties/{lab.facts['property']}/result.json")
    assert answer.json()["values"][0]["value"] == 51.2


def test_the_system_page_tells_who_did_what_to_operators_alone(lab: Lab) -> None:
    seen = words(enter(lab, Role.OPERATOR).get("/system"))
    assert "Who did what" in seen
    assert "SQLite answers" in seen
    assert "Who did what" not in words(enter(lab, Role.VIEWER).get("/system"))


def test_nothing_new_is_said_in_no_bytes(viewer: Browser) -> None:
    first = viewer.get("/", headers={"X-Fragment": "1"})
    assert "<html" not in first.text
    again = viewer.get(
        "/", headers={"X-Fragment": "1", "If-None-Match": first.headers["etag"]}
    )
    assert again.status_code == httpx.codes.NOT_MODIFIED
    assert not again.content


def test_a_configuration_of_another_version_is_shown(tmp_path: Path) -> None:
    other = build(tmp_path)
    with other.store() as store:
        store.campaigns.open("old", json.dumps({"name": "old", "gone": 1}))
    page = enter(other, Role.VIEWER).get("/campaigns/old")
    assert page.status_code == httpx.codes.OK
    assert "written by another version" in page.text


@pytest.mark.parametrize(
    "path", ["/", "/campaigns/salt", "/structures", "/labels", "/approve", "/models",
             "/models/salt/fire", "/properties", "/system", "/api/v1/docs"],
)  # fmt: skip
def test_no_name_becomes_markup(viewer: Browser, path: str) -> None:
    page = viewer.get(path)
    assert page.status_code == httpx.codes.OK
    assert EVIL not in page.text
    assert "<img src=x" not in page.text
