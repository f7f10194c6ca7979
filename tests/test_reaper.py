"""A test run that is killed or interrupted leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.events import wait_for

ROOT = Path(__file__).resolve().parents[1]
CONFTEST = """
from tests import reaper

def pytest_configure():
    reaper.start()
"""
TEST = """
import os, pathlib, subprocess, sys, time
import pytest

FOLDER = pathlib.Path(__file__).parent
SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)"]

@pytest.fixture(scope="session")
def server():
    # As a server does, it leads a session of its own, and so does what it starts.
    code = f"import subprocess; subprocess.run({SLEEP!r}, start_new_session=True)"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    yield process
    process.kill()

def test_something(server):
    partial = FOLDER / "partial"
    partial.write_text(f"{os.getpid()} {server.pid}")
    partial.rename(FOLDER / "pids")
    time.sleep(1000)
"""


def lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("options", "who", "how"),
    [
        ([], "worker", signal.SIGKILL),
        (["-n", "1"], "worker", signal.SIGKILL),
        (["-n", "1"], "pytest", signal.SIGKILL),
        (["-n", "1"], "pytest", signal.SIGINT),
    ],
    ids=["alone-killed", "worker-killed", "controller-killed", "interrupted"],
)
def test_what_a_test_started_ends_with_its_run(
    tmp_path: Path, options: list[str], who: str, how: signal.Signals
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "--maxfail=1", *options]
    with subprocess.Popen(
        # Tests in the background have SIGINT ignored.
        ["env", "--default-signal=INT", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as run:
        wait_for((tmp_path / "pids").exists, run)
        worker, server = map(int, (tmp_path / "pids").read_text().split())
        started = psutil.Process(server)
        wait_for(started.children, run)
        family = [started, *started.children()]
        assert all(lives(process) for process in family)
        os.kill(worker if who == "worker" else run.pid, how)
        if who == "worker" and options:  # a new worker begins the test again
            run.kill()
    wait_for(lambda: not any(lives(process) for process in family))
