"""A working folder whose files have our modules' names: none of them is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.service.blueprint import POOL_TYPES, POOLS, read_template
from cli.service.settings import service_environment
from fire_core.children import SAFE_PATH, python_command
from fire_core.labelling.program import _environment, _release
from tests.campaign.conftest import TINY as CAMPAIGN

ROOT = Path(__file__).resolve().parents[1]
NAMES = (
    *("tasks", "cli", "flows", "fire_core", "dashboard", "deployments", "config"),
    *("torch", "mace", "prefect", "numpy", "yaml", "uvicorn", "logging"),
)
TINY: dict[str, Any] = {
    "name": "tiny",
    "threads": 1,
    "rounds": 1,
    "system": CAMPAIGN["system"],
    "theory": {"kind": "lennard_jones"},
    "label": {"workers": 1, "batch": 50},
    "perturb": {"n": 5},
    "pre_fine_tune": {"epochs": 1, "devices": 2},  # in processes of torchrun
    "explore": {
        "temperatures": [300],
        "replicas": 1,
        "steps": 24,
        "save_every": 4,
        "segment": 12,
    },
    "select": {"n": 4},
    "fine_tune": {"epochs": 1},
    "evaluate": {"n": 2, "stability": {"steps": 4}, "vanilla": False},
}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder in which an import of one of `NAMES` from the folder is an error."""
    for name in NAMES:
        line = f'raise RuntimeError("{name}.py of the working folder was imported")\n'
        (tmp_path / f"{name}.py").write_text(line, encoding="utf-8")
    return tmp_path


def run(
    command: list[str], folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command there as a user does, with our tree before the installed one."""
    kept = {k: v for k, v in os.environ.items() if k != SAFE_PATH}
    return subprocess.run(
        command,
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_files_are_hostile(hostile: Path) -> None:
    done = run([sys.executable, "-m", "tasks"], hostile)
    assert "of the working folder was imported" in done.stderr


def test_console_script(hostile: Path) -> None:
    script = Path(sys.executable).with_name("fire")
    done = run([str(script), "--help"], hostile)
    assert done.returncode == 0, done.stderr
    assert "campaign" in done.stdout


@pytest.mark.parametrize(
    "module",
    [
        "cli.main",
        "fire_core.campaign.steps.label_worker",
        "fire_core.campaign.steps.train_worker",
        "prefect",
    ],
)
def test_child(hostile: Path, module: str) -> None:
    done = run(python_command(module, "--help"), hostile)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_campaign_with_its_server_and_its_children(hostile: Path) -> None:
    """A flow under a temporary server, labels and a training in children."""
    (hostile / "tiny.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
    script = Path(sys.executable).with_name("fire")
    command = [str(script), "campaign", "run", "tiny.yaml"]
    done = run(command, hostile, PREFECT_HOME=str(hostile / ".prefect"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_what_the_service_starts_inherits_a_safe_path(hostile: Path) -> None:
    """Prefect's worker starts each run as `python -m prefect.engine`."""
    variables = service_environment(hostile / ".fire", "127.0.0.1", 4200)
    variables["PYTHONPATH"] = str(ROOT)
    code = "import cli, tasks, flows.campaign, prefect.engine"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=hostile, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("pool_type", POOL_TYPES)
def test_a_pool_gives_its_runs_a_safe_path(pool_type: str) -> None:
    """Also to those of a worker that was started by hand."""
    for pool in POOLS:
        variables = read_template(pool, pool_type)["variables"]["properties"]
        assert variables["env"]["default"][SAFE_PATH] == "1"


def test_a_labelling_program_finds_the_modules_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be a user's own script."""
    monkeypatch.setenv(SAFE_PATH, "1")
    assert SAFE_PATH not in _environment(["/usr/bin/python3"])


def test_only_one_module_knows_how_a_child_is_started() -> None:
    knowing = {
        path.relative_to(ROOT).as_posix()
        for package in ("fire_core", "tasks", "flows", "cli", "dashboard")
        for path in (ROOT / package).rglob("*.py")
        if path.parent.name != "testing"  # contracts start a bare interpreter
        and "sys.executable" in path.read_text(encoding="utf-8")
    }
    assert knowing == {"fire_core/children.py"}


def test_a_program_that_is_a_script_tells_its_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrapper around a code may import what lies beside it."""
    (tmp_path / "beside.py").write_text("RELEASE = '1.2'\n", encoding="utf-8")
    script = tmp_path / "code.py"
    script.write_text(
        "import beside\nprint('CODE', beside.RELEASE)\n", encoding="utf-8"
    )
    monkeypatch.setenv(SAFE_PATH, "1")
    assert _release((sys.executable, str(script)), (), r"CODE (\S+)") == "1.2"
