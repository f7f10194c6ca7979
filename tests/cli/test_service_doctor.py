"""`fire doctor --service` without a server, with a bare one, and with what it lacks."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from benchmarks.postgres import free_port
from cli.main import app
from cli.service import server_checks, service_checks
from cli.service.automations import crash_silent_runs
from cli.service.blueprint import read_deployments
from cli.service.check import expected_service
from cli.service.service_checks import Status, check_blobs, check_disk, check_gpus
from fire_core.errors import ConfigError
from fire_core.storage.engine import migrate
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result


@pytest.fixture(scope="session")
def bare_server() -> Iterator[str]:
    """Address of a Prefect server with nothing deployed to it."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield str(PREFECT_API_URL.value())


@pytest.fixture
def store(tmp_path: Path) -> list[str]:
    """Options that name a sound, empty store."""
    url, blobs = f"sqlite:///{tmp_path}/fire.db", tmp_path / "blobs"
    with Store.open(url, blobs) as opened:
        opened.blobs.put_bytes(b"one")
    return ["--db", url, "--blobs", str(blobs)]


def fire(*arguments: str) -> Result:
    options = {"COLUMNS": "250", "TERM": "dumb"}
    return CliRunner(env=options).invoke(app, ["doctor", *arguments])


def examine(*arguments: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Return the exit status and the checks under their names."""
    done = fire("--service", "--json", *arguments)
    facts = json.loads(done.stdout)
    assert facts["fit"] == (done.exit_code == 0)
    checks: dict[str, list[dict[str, Any]]] = {}
    for check in facts["checks"]:
        checks.setdefault(check["name"], []).append(check)
        assert check["status"] in set(Status)
        assert bool(check["remedy"]) == (check["status"] != "ok"), check
    return done.exit_code, checks


def test_labels_or_the_service_is_examined_not_both_and_not_nothing() -> None:
    for arguments in ((), ("data.extxyz", "--service")):
        done = fire(*arguments)
        assert isinstance(done.exception, ConfigError)
        with pytest.raises(ConfigError, match="expected a file of labels or --service"):
            raise done.exception


def test_without_a_server_the_store_is_judged_and_the_way_to_one_told(
    store: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: None}):
        status, checks = examine(*store)
    assert status == 1
    assert [c["status"] for c in checks["store"]] == ["ok"]
    assert checks["blobs"][0]["what"].endswith("may be written to")
    assert checks["Prefect API"][0]["what"] == "PREFECT_API_URL is not set"
    assert "`fire serve`" in checks["Prefect API"][0]["remedy"]
    address = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: address}):
        status, checks = examine(*store)
    assert status == 1
    (api,) = checks["Prefect API"]
    assert api["what"].startswith(f"{address} does not answer: ")


def test_on_a_bare_server_each_missing_thing_is_told_with_its_remedy(
    store: list[str], bare_server: str
) -> None:
    status, checks = examine(*store)
    assert status == 1
    assert checks["Prefect API"][0]["status"] == "ok"
    assert bare_server in checks["Prefect API"][0]["what"]
    for name in ("control-pool", "cpu-pool", "gpu-pool"):
        (check,) = checks[name]
        told = (check["status"], check["what"], check["remedy"])
        assert told == ("error", "no such pool", "`fire deploy`")
    (deployments,) = checks["deployments"]
    assert deployments["remedy"] == "`fire deploy`"
    for item in read_deployments():
        assert f"fire-{item.name}/{item.name}" in deployments["what"]
    (automations,) = checks["automations"]
    assert automations["remedy"] == "`fire deploy`"
    assert "fire: crash silent runs" in automations["what"]
    assert checks["late runs"][0]["status"] == "ok"
    assert checks["limits"][0]["status"] == "warning"  # in memory by default
    assert "DB_VACUUM_ENABLED=events,flow_runs" in checks["retention"][0]["remedy"]
    assert checks["Prefect's versions"][0]["status"] == "ok"
    assert checks["server's clock"][0]["status"] == "ok"
    table = fire("--service", *store)
    assert table.exit_code == 1
    assert table.output.count("`fire deploy`") == 5
    assert "5 error" in table.output.splitlines()[-1]


def test_pools_workers_limits_and_automations_are_seen(
    store: list[str], bare_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate

    pools = ("control-pool", "cpu-pool", "gpu-pool")
    limit = server_checks.LICENCES
    monkeypatch.setenv("FIRE_DFT_LICENCES", "3")
    with get_client(sync_client=True) as client:
        for name in pools:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        client.request(
            "POST", "/work_pools/control-pool/workers/heartbeat", json={"name": "w"}
        )
        client.update_work_pool("cpu-pool", WorkPoolUpdate(is_paused=True))
        automation = crash_silent_runs().model_copy(update={"enabled": False})
        automation_id = client.create_automation(automation)
        try:
            _, before = examine(*store)
            client.upsert_global_concurrency_limit_by_name(limit, 2)
            _, after = examine(*store)
        finally:
            for name in pools:
                client.delete_work_pool(name)
            client.request("DELETE", f"/automations/{automation_id}")
            client.delete_global_concurrency_limit_by_name(limit)
    (control,) = before["control-pool"]
    assert control["status"] == "ok"
    assert control["what"].startswith("1 worker online, the last one heard ")
    assert before["cpu-pool"][0]["what"] == "paused"
    assert before["cpu-pool"][0]["remedy"] == "`prefect work-pool resume cpu-pool`"
    none, unlimited = before["gpu-pool"]
    assert (none["status"], none["what"]) == ("error", "0 workers online")
    assert "`prefect worker start --pool gpu-pool --type process`" in none["remedy"]
    assert unlimited["what"] == "no limit: runs would share a GPU"
    missing, off = before["automations"]
    assert "fire: restart crashed campaigns" in missing["what"]
    assert "fire: crash silent runs" not in missing["what"]
    assert off["remedy"] == "`prefect automation resume 'fire: crash silent runs'`"
    assert before["labelling processes"][0]["status"] == "error"
    (changed,) = after["labelling processes"]
    assert changed["status"] == "warning"
    assert changed["what"] == "at most 2 at once, 0 now, wanted 3"


def test_a_refused_secret_is_told_apart_from_a_server_that_is_away() -> None:
    refused = server_checks._refused("http://lab:4200/api", 401)
    assert refused.status is Status.ERROR
    assert "PREFECT_API_AUTH_STRING" in refused.remedy
    assert "HTTP 404" in server_checks._refused("http://lab:4200", 404).what


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    (check,) = service_checks.check_database(f"sqlite:///{tmp_path}/no.db")
    assert check.status is Status.WARNING, "a service that was never used is no error"
    assert "there is no file" in check.what
    assert "FIRE_DB" in check.remedy
    assert not list(tmp_path.iterdir())


def test_a_database_that_does_not_answer_is_an_error() -> None:
    url = f"postgresql://fire@127.0.0.1:{free_port()}/fire"
    (check,) = service_checks.check_database(url)
    assert check.status is Status.ERROR
    assert "cannot be read" in check.what


def test_an_older_schema_is_a_warning_and_stays(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/fire.db"
    with Store.open(url, tmp_path) as store:
        migrate(store.engine, "0002")
    for _ in range(2):
        schema, answers, clock = service_checks.check_database(url)
        assert schema.status is Status.WARNING
        assert "schema 0002, this FIRE has 0" in schema.what
        assert (answers.status, clock.status) == (Status.OK, Status.OK)
    Store.open(url, tmp_path).close()
    assert service_checks.check_database(url)[0].status is Status.OK


def test_blobs_and_their_disk_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent, disk = check_blobs(tmp_path / "no" / "blobs")
    assert absent.status is Status.WARNING
    assert "GB free of" in disk.what

    def usage(free: float) -> object:
        return lambda _: type("Usage", (), {"free": free, "total": 1e12})

    for free, status in ((5e8, Status.ERROR), (5e10, Status.WARNING), (2e11, "ok")):
        monkeypatch.setattr(service_checks.shutil, "disk_usage", usage(free))
        assert check_disk(tmp_path).status == status


def test_a_gpu_that_torch_cannot_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_checks, "_driver_gpus", lambda: ["H100 driver 570.1"])
    monkeypatch.setattr("fire_core.backbones.registry.count_gpus", lambda: 0)
    check = check_gpus()
    assert check.status is Status.WARNING
    assert check.what == "torch uses 0 of 1: H100 driver 570.1"


def test_what_is_expected_is_what_is_deployed() -> None:
    expected = expected_service()
    assert expected.deployments["fire-train/train"] == "gpu-pool"
    assert len(expected.deployments) == len(read_deployments())
    assert all(name.startswith("fire:") for name in expected.automations)


def test_the_pythons_it_accepts_are_those_of_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert service_checks.check_python().status is Status.OK
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    first, last = service_checks.PYTHONS[0], service_checks.PYTHONS[-1]
    above = f"3.{int(last.removeprefix('3.')) + 1}"
    wanted = tomllib.loads(text)["project"]["requires-python"]
    assert wanted == f">={first},<{above}"
    monkeypatch.setattr("platform.python_version_tuple", lambda: ("3", "10", "4"))
    refused = service_checks.check_python()
    assert refused.status is Status.ERROR
    assert "3.11 to 3.13" in refused.remedy
