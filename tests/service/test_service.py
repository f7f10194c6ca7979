"""A campaign started by HTTP, on pools, broken on its way, looked at in a browser.

One service of real processes: PostgreSQL, Prefect server, three workers. While the
campaign runs, its database, its server and one of its runs are killed with -9.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from benchmarks.postgres import missing_programs
from benchmarks.service import Service
from fire_core.records import LabelState
from fire_core.storage.approvals import ApprovalState
from fire_core.storage.store import Store
from tests.campaign.conftest import TINY
from tests.events import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

N_PERTURBED = 8
N_APPROVED = 4
PASSWORD = "lab:only for this test"
CONFIG: dict[str, Any] = TINY | {
    "name": "served",
    "label": {"workers": 2, "lease": 20},
    "perturb": {"n": N_PERTURBED},
    "pre_fine_tune": {"epochs": 2},
    "committee": {"members": 0},
    "approval": {"ask": "selected"},
    "evaluate": TINY["evaluate"] | {"vanilla": False},
}
DONE = re.compile(r"^label ([0-9a-f]+) done in", re.MULTILINE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    absent = missing_programs()
    if absent is not None:
        pytest.skip(absent)
    workers = dict.fromkeys(("control-pool", "cpu-pool", "gpu-pool"), 1)
    lock = {"PREFECT_SERVER_API_AUTH_STRING": PASSWORD}
    with Service(tmp_path_factory.mktemp("service"), workers, lock) as running:
        yield running


@pytest.fixture(scope="module")
def finished(service: Service) -> str:
    """The id of the campaign's run, after all that is done to it."""
    run = service.submit(CONFIG)
    wait_for(lambda: counts(service).get(LabelState.DONE, 0) >= 2, limit_s=600)
    service.postgres.kill()
    time.sleep(1)
    service.postgres.start()
    wait_for(lambda: named(service, "served-train-pre_fine_tuned-0"), limit_s=600)
    service.kill("server")
    time.sleep(1)
    service.start("server")
    service.await_server()
    wait_for(lambda: service.state(run)[0] == "PAUSED", limit_s=600)
    refuse_bad_input(service, run)
    with Store.open(service.db, service.blobs, patience_s=60) as store:
        # Somebody else trains this model, so that the step waits until it is killed.
        assert store.steps.hold("served", "train-fire", "test", 3600.0) is None
        approve(service)
        wait_for(lambda: kill_flow(service, "served-train-fire-1"), limit_s=600)
        store.steps.release("served", "train-fire", "test")
    kind, message = service.wait(run, 900)
    assert kind == "COMPLETED", message
    return run


def counts(service: Service) -> dict[LabelState, int]:
    with Store.open(service.db, service.blobs, patience_s=60) as store:
        return store.labels.counts()


def named(service: Service, name: str) -> list[Any]:
    return [run for run in service.runs() if run["name"] == name]


def refuse_bad_input(service: Service, run: str) -> None:
    """What the form refuses leaves the run as it was."""
    answer = service.request(
        "POST", f"flow_runs/{run}/resume", {"run_input": {"labels": -1}}
    )
    assert answer["status"] == "REJECT"
    assert service.state(run)[0] == "PAUSED"


def approve(service: Service) -> None:
    def fire(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", "campaign", *words],
            env=service.environment, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    (asked,) = json.loads(fire("pending", "--json"))
    assert (asked["campaign"], asked["labels"], asked["missing"]) == ("served", 6, 6)
    assert asked["core_hours"] > 0
    assert len(asked["oddest"]) == 5
    told = fire("approve", "served", "--labels", str(N_APPROVED))
    # Resumed by this command, or by `fire watch`, which saw the decision first.
    assert "4 of 6 labels approved; its " in told
    assert ("suspended run was resumed" in told) != ("run goes on by itself" in told)


def kill_flow(service: Service, name: str) -> bool:
    """Kill the process of a run with -9, if there is one; its worker says so."""
    ids = {run["id"] for run in named(service, name) if run["state_type"] == "RUNNING"}
    found = [
        process
        for process in service.flow_processes()
        if process.environ().get("PREFECT__FLOW_RUN_ID") in ids
    ]
    for process in found:
        process.kill()
    return bool(found)


def test_the_campaign_ends_with_a_report_where_the_service_keeps_them(
    service: Service, finished: str
) -> None:
    folder = service.folder / "results" / "served"
    results = json.loads((folder / "results.json").read_text())
    assert set(results["models"]) == {"zero_shot", "pre_fine_tuned", "fire"}
    with Store.open(service.db, service.blobs) as store:
        row = store.approvals.get("served", 1, "selected")
        assert row is not None
        assert (row.state, row.n_approved) == (ApprovalState.APPROVED, N_APPROVED)
        assert store.labels.counts() == {LabelState.DONE: N_PERTURBED + N_APPROVED + 3}


def test_no_label_was_computed_twice(service: Service, finished: str) -> None:
    logs = (service.blobs.parent / "work" / "served").rglob("worker.log")
    found = Counter(key for log in logs for key in DONE.findall(log.read_text()))
    assert len(found) == N_PERTURBED + N_APPROVED + 3
    assert set(found.values()) == {1}


def test_every_step_ran_on_its_pool_and_the_killed_one_twice(
    service: Service, finished: str
) -> None:
    pools = {run["name"]: run["work_pool_name"] for run in service.runs()}
    assert pools["served"] == "control-pool"
    assert pools["served-label-selected-1"] == "cpu-pool"
    assert pools["served-train-fire-1"] == "gpu-pool"
    tags = [run["tags"] for run in service.runs() if "fire-train" in str(run["tags"])]
    assert all("campaign:served" in some for some in tags)
    again = [t for t in tags if "step:fire-train-fire-1-1" in t]
    assert len(again) == 2


def test_a_measurement_asked_for_by_http_is_one_of_the_gpu_pool(
    service: Service, finished: str
) -> None:
    request = {
        "name": "lif-by-http",
        "measure": {"kind": "equation_of_state", "points": 5},
        "system": {"kind": "crystal", "crystal": "LiF"},
        "backbone": {"name": "served/fire"},
        "store": {"url": service.db, "blobs": str(service.blobs)},
    }
    given = {"request": request}
    run = service.begin("fire-properties/properties", "lif-by-http", given)
    kind, message = service.wait(run, 300)
    assert kind == "COMPLETED", message
    pools = {one["id"]: one["work_pool_name"] for one in service.runs()}
    assert pools[run] == "gpu-pool"
    with Store.open(service.db, service.blobs) as store:
        row = store.properties.need("lif-by-http")
        model = store.models.need("served", "fire")
    assert row.asked.subject_sha == model.blob_sha
    values = {value.name: value.value for value in row.need_result().values}
    assert 40 < values["bulk_modulus"] < 120  # GPa; 68 by PBE
    folder = service.folder / "results" / "lif-by-http"
    assert (folder / "equation_of_state.json").is_file()
    assert list(folder.glob("**/*.png"))


def test_what_is_scheduled_is_planned(service: Service, finished: str) -> None:
    """SQLAlchemy 2.1 broke the scheduler of this Prefect in silence."""
    names = {
        service.request("GET", f"flows/{run['flow_id']}")["name"]
        for run in service.request(
            "POST",
            "flow_runs/filter",
            {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "limit": 50},
        )
    }
    assert names == {"fire-regression", "fire-resume"}


def test_the_doctor_finds_the_service_well(service: Service, finished: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "doctor", "--service", "--json"],
        env=service.environment, check=False, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    errors = [check for check in found["checks"] if check["status"] == "error"]
    assert not errors
    assert done.returncode == 0


def test_a_person_sees_it_in_the_browser(
    service: Service, finished: str, tmp_path: Any
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is absent: apt-get install chromium")
    quiet = (
        "--no-sandbox", "--disable-quic", "--disable-background-networking",
        "--disable-component-update", "--disable-sync",
    )  # fmt: skip
    address = service.api.removesuffix("/api")
    deployment = service.request("GET", "deployments/name/fire-campaign/campaign")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(quiet))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{address}/login?redirect=/runs/flow-run/{finished}")
        page.locator("input[type=password]").fill(PASSWORD)
        page.get_by_role("button", name="Login").click()
        page.get_by_text("Completed").first.wait_for(timeout=30_000)
        page.get_by_text("Subflow Runs", exact=True).first.click()
        page.get_by_text("served-report").first.wait_for(timeout=30_000)
        page.get_by_text("Artifacts", exact=True).first.click()
        page.get_by_text("approval-served").first.wait_for(timeout=30_000)
        assert "control-pool" in page.inner_text("body")
        page.screenshot(path=tmp_path / "run.png")
        page.goto(f"{address}/deployments/deployment/{deployment['id']}/run")
        page.get_by_text("Rounds of explore").first.wait_for(timeout=30_000)
        assert "Labelling processes at once on a machine." in page.inner_text("body")
        page.screenshot(path=tmp_path / "form.png")
        browser.close()


def test_who_has_no_password_is_refused(service: Service) -> None:
    for auth in (None, ("lab", "a guess")):
        answer = httpx.post(
            f"{service.api}/flow_runs/filter", json={}, auth=auth, timeout=10
        )
        assert answer.status_code == httpx.codes.UNAUTHORIZED
