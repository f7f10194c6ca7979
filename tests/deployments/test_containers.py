"""Compose by its own loader; every setting that a file names is one of this Prefect."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer.main
import yaml
from prefect.cli._app import _app as prefect_app
from prefect.settings.legacy import _get_settings_fields
from prefect.settings.models.root import Settings

from cli.main import app
from cli.service.automations import SILENCE_S
from cli.service.settings import HEARTBEAT_S
from fire_core.config import environment
from tests.deployments.conftest import (
    COMPOSE,
    DOCKERFILES,
    ENVIRONMENT,
    MANIFESTS,
    ROOT,
    SCRIPTS,
    SHARED,
    TEMPLATES,
    docker_compose,
    resolve,
    steps_of,
)

if TYPE_CHECKING:
    from pathlib import Path

# Settings of packages that only the server and the Kubernetes worker have, read in
# prefect-redis 0.3.0 and prefect-kubernetes 0.8.0.
OTHER_PACKAGES: Final = {
    "PREFECT_REDIS_MESSAGING_HOST",
    "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_NAME",
    "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_KEY",
    "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES",
}
# Read by docker/initdb, not by Prefect.
OURS: Final = {"PREFECT_DB_PASSWORD"}


def test_compose_needs_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("", encoding="utf-8")
    options = ["--env-file", tmp_path / "env", "--file", COMPOSE]
    with pytest.raises(AssertionError, match=r"see docker/env\.example"):
        docker_compose(*options, "config", "--quiet")


def test_every_variable_of_compose_is_in_the_example() -> None:
    files = COMPOSE.read_text(encoding="utf-8") + SHARED.read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(\w+)", files))
    text = ENVIRONMENT.read_text(encoding="utf-8")
    offered = set(re.findall(r"^(\w+)=", text, flags=re.MULTILINE))
    assert used == offered - {"COMPOSE_PROFILES"}


def test_services_that_stay_are_watched_and_start_again(
    compose: dict[str, Any],
) -> None:
    for name, service in compose["services"].items():
        if name == "deploy":  # ends when it is done
            assert service["restart"] == "no"
            continue
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"], name
        assert service["stop_grace_period"], name
        for other, needed in service.get("depends_on", {}).items():
            ends = other == "deploy"
            wanted = "service_completed_successfully" if ends else "service_healthy"
            assert needed["condition"] == wanted, f"{name} after {other}"


def test_nothing_listens_beyond_this_machine_by_itself(compose: dict[str, Any]) -> None:
    ports = [p for s in compose["services"].values() for p in s.get("ports", [])]
    assert {port["published"] for port in ports} == {"4200", "5432", "8501"}
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_one_profile_serves_the_gpu_pool_with_and_one_without_gpus(
    compose: dict[str, Any],
) -> None:
    serving: dict[str, list[str]] = {}
    for service in compose["services"].values():
        command = service.get("command") or [""]
        if command[0] == "fire-worker":
            serving.setdefault(command[1], []).extend(service.get("profiles", ["any"]))
    assert serving == {
        "control-pool": ["any"],
        "cpu-pool": ["any"],
        "gpu-pool": ["gpu", "cpu"],
    }
    worker = compose["services"]["worker-gpu"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_data_of_runs_is_in_volumes_that_the_image_prepares(
    compose: dict[str, Any],
) -> None:
    mounts = {
        volume["source"]: volume["target"]
        for name, service in compose["services"].items()
        if name.startswith("worker")
        for volume in service["volumes"]
    }
    assert mounts == {name: f"/data/{name}" for name in ("blobs", "work", "results")}
    assert {*mounts, "pgdata", "redis"} == set(compose["volumes"])
    made = steps_of(DOCKERFILES[0], "RUN")[-1]
    assert all(target in made for target in mounts.values())


def test_shared_data_is_under_one_path_inside_and_outside(tmp_path: Path) -> None:
    where = {"FIRE_SHARED": "/shared/fire", "FIRE_SHARED_USER": "1000:1000"}
    services = resolve(tmp_path, COMPOSE, SHARED, **where)["services"]
    for name, service in services.items():
        if name == "deploy" or name.startswith("worker") or name == "dashboard":
            (mount,) = service["volumes"]
            assert mount["source"] == mount["target"] == "/shared/fire"
            assert service["environment"]["FIRE_BLOBS"] == "/shared/fire/blobs"
            assert service["environment"]["FIRE_DB"]
            assert service["user"] == "1000:1000"
        else:
            assert "user" not in service, name


def test_every_command_that_a_container_runs_exists(compose: dict[str, Any]) -> None:
    fire = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    missing = set()
    for service in compose["services"].values():
        if not service["image"].startswith("fire:"):
            continue
        entry = service.get("entrypoint") or ["tini", "--", "fire"]
        words = [*entry, *service["command"]][2:]
        if words[0] == "fire-worker":  # worker.sh
            words[:2] = ["prefect", "worker", "start", "--pool", words[1]]
        program, *rest = words
        if program == "prefect":
            prefect_app.parse_args(rest, exit_on_error=False)  # raises what is wrong
        else:
            assert program == "fire"
            missing |= {rest[0]} - fire
    assert not missing, f"no command fire {sorted(missing)}"


def test_what_the_guide_names_is_there() -> None:
    guide = ROOT / "docs" / "deployment.md"
    text = guide.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!http|#)([^)]+)\)", text):
        assert (guide.parent / link).exists(), link
    for file in re.findall(r"(?:docker|deployments|examples)/[\w./-]+\w", text):
        assert (ROOT / file).exists() or file == "docker/.env", file
    fire = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"\bfire ([a-z]+)\b", text)) - {"create"}
    assert named <= fire, named - fire


def settings_of(compose: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the environments of every file that sets any, by its place."""
    found = {
        f"compose: {name}": service.get("environment", {})
        for name, service in compose["services"].items()
    }
    for path in TEMPLATES:
        variables = json.loads(path.read_text(encoding="utf-8"))["variables"]
        found[path.name] = variables["properties"]["env"].get("default", {})
    for path in [*SCRIPTS, *DOCKERFILES]:
        text = path.read_text(encoding="utf-8")
        pairs = re.findall(r"\b((?:PREFECT|FIRE)_\w+)=([\w.:/+-]*)", text)
        found[path.name] = dict(pairs)
    for manifest in yaml.safe_load_all(MANIFESTS.read_text(encoding="utf-8")):
        if manifest["kind"] == "ConfigMap":
            found["configmap"] = manifest["data"]
        if manifest["kind"] == "Deployment":
            (container,) = manifest["spec"]["template"]["spec"]["containers"]
            pairs = ((v["name"], v.get("value", "a:b")) for v in container["env"])
            found[manifest["metadata"]["name"]] = dict(pairs)
    return found


def test_every_prefect_variable_is_a_setting_of_this_prefect(
    compose: dict[str, Any],
) -> None:
    known = {*_get_settings_fields(Settings), *OTHER_PACKAGES, *OURS}
    for place, values in settings_of(compose).items():
        names = {name for name in values if name.startswith("PREFECT_")}
        assert names <= known, f"{place}: {sorted(names - known)}"


def test_prefect_accepts_the_values(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("prefect-server", "prefect-services", "worker-cpu"):
        with monkeypatch.context() as patch:
            for key in [k for k in os.environ if k.startswith("PREFECT_")]:
                patch.delenv(key)  # a test's own server, or the Makefile's
            for key, value in compose["services"][name]["environment"].items():
                patch.setenv(key, value)
            settings = Settings()
        assert settings.server.analytics_enabled is (name == "worker-cpu")
        if name == "worker-cpu":
            assert settings.flows.heartbeat_frequency == HEARTBEAT_S
            continue
        url = settings.server.database.connection_url
        assert url is not None
        assert url.get_secret_value() == (
            "postgresql+asyncpg://prefect:a%3Asecret@postgres:5432/prefect"
        )
        assert settings.server.services.db_vacuum.enabled_vacuum_types >= {"flow_runs"}


def test_a_beat_is_set_wherever_flows_run(compose: dict[str, Any]) -> None:
    """Runs that beat more slowly than the automation looks are declared crashed."""
    assert SILENCE_S >= 3 * HEARTBEAT_S
    runs = ("compose: worker-", ".json", ".sbatch", ".Dockerfile")
    for place, values in settings_of(compose).items():
        if place.startswith(runs) or place.endswith(runs):
            beat = values.get("PREFECT_FLOWS_HEARTBEAT_FREQUENCY")
            assert beat == str(HEARTBEAT_S), place


def test_every_fire_variable_is_one_that_fire_reads(compose: dict[str, Any]) -> None:
    known = {v for v in vars(environment).values() if str(v).startswith("FIRE_")}
    for name, service in compose["services"].items():
        names = {n for n in service.get("environment", {}) if n.startswith("FIRE_")}
        if service["image"].startswith("fire:"):
            assert names <= known, f"{name}: {sorted(names - known)}"
