"""deployments/worker.sh: a worker that ends gently, with stand-ins for its programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.events import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 120.0  # a loaded machine starts an interpreter in many seconds
SCRIPT = Path(__file__).resolve().parents[2] / "deployments" / "worker.sh"
# A worker as Prefect's is: TERM becomes INT, INT ends it. Its run has a labelling
# process in a session of its own, which ends after its label.
WORKER = f"""#!{sys.executable}
import os, pathlib, signal, subprocess, sys
folder = pathlib.Path(__file__).parent.parent
(folder / "arguments").write_text(" ".join(sys.argv[1:]))
signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
subprocess.Popen(
    [sys.executable, str(folder / "label.py"), "fire_core.campaign.steps.label_worker"],
    start_new_session=True,
)
try:
    while True:
        signal.pause()
except KeyboardInterrupt:
    (folder / "stopped").touch()
"""
LABEL = """
import pathlib, signal, time
folder = pathlib.Path(__file__).parent
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
(folder / "labelling").touch()
while not told:
    time.sleep(0.05)
assert (folder / "stopped").exists(), "the worker is stopped first"
(folder / "ending").touch()
while not (folder / "go").exists():
    time.sleep(0.05)
(folder / "labelled").touch()
"""
SLURM = """#!/usr/bin/env bash
folder=$(dirname "$0")/..
case $1 in
    show) echo "   JobState=$(cat "$folder/state") Reason=None" ;;
    requeue) echo "$2" >"$folder/queued"; kill -TERM "$PPID" ;;
esac
"""


class Trial:
    """The script, running with the stand-ins in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        for name, text in {"prefect": WORKER, "scontrol": SLURM}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        (folder / "label.py").write_text(LABEL)
        (folder / "state").write_text("RUNNING")
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self.process = subprocess.Popen(
            # Tests in the background have SIGINT ignored, and so had the worker.
            [
                "env",
                "--default-signal=INT",
                "bash",
                str(SCRIPT),
                "cpu-pool",
                "--limit",
                "2",
            ],
            env={**os.environ, "PATH": path, "SLURM_JOB_ID": "17"},
            start_new_session=True,
        )
        self.wait_for("labelling")

    def wait_for(self, name: str) -> None:
        wait_for((self.folder / name).exists)

    def finish_label(self) -> None:
        """Let the label end that is under way when its process is told to stop."""
        self.wait_for("ending")
        assert self.process.poll() is None, "the script waits for it"
        assert not self.has("queued")
        (self.folder / "go").touch()

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for process in psutil.process_iter(["cmdline"]):
            if str(self.folder) in " ".join(process.info["cmdline"] or ()):
                process.kill()


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Callable[..., Trial]]:
    started: list[Trial] = []

    def start() -> Trial:
        started.append(Trial(tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_told_to_stop_it_waits_for_the_label_under_way(
    trial: Callable[..., Trial],
) -> None:
    running = trial()
    running.process.send_signal(signal.SIGTERM)
    running.finish_label()
    assert running.process.wait(timeout=PATIENCE_S) == 0
    assert running.has("stopped")
    assert running.has("labelled")
    assert not running.has("queued")
    arguments = (running.folder / "arguments").read_text()
    assert arguments == "worker start --pool cpu-pool --type process --limit 2"


def test_before_the_time_limit_it_asks_slurm_for_another_turn(
    trial: Callable[..., Trial],
) -> None:
    running = trial()
    running.process.send_signal(signal.SIGUSR1)
    running.finish_label()
    running.wait_for("queued")
    assert running.has("labelled")
    assert (running.folder / "queued").read_text().strip() == "17"


def test_a_cancelled_job_is_not_queued_again(trial: Callable[..., Trial]) -> None:
    running = trial()
    running.process.send_signal(signal.SIGUSR1)
    running.wait_for("ending")
    (running.folder / "state").write_text("CANCELLED")
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(timeout=PATIENCE_S) == 0
    assert not running.has("labelled"), "a second signal means hurry"
    assert not running.has("queued")
