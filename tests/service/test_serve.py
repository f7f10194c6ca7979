"""`fire serve` starts everything here, mends what dies, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from benchmarks.postgres import free_port
from tests.campaign.conftest import ROOT
from tests.events import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def serve(folder: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "cli.main", "serve",
         "--port", str(port), "--dashboard-port", str(port + 1)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )  # fmt: skip


def test_it_serves_mends_and_stops(tmp_path: Path) -> None:
    port = free_port()
    with serve(tmp_path, port) as process:
        assert process.stdout is not None
        lines = []
        while not (lines and lines[-1].startswith("start a campaign")):
            lines.append(process.stdout.readline())
            assert process.poll() is None, "".join(lines)
        api = f"http://127.0.0.1:{port}/api"
        pools = httpx.post(f"{api}/work_pools/filter", json={}, timeout=30).json()
        assert {p["name"] for p in pools} >= {"control-pool", "cpu-pool", "gpu-pool"}

        second = serve(tmp_path, port)
        told, _ = second.communicate(timeout=60)
        assert second.returncode == 1
        assert "a Prefect server answers at" in told

        children = psutil.Process(process.pid).children()
        assert len(children) == 6  # server, three workers, watch, dashboard
        (worker,) = (c for c in children if "gpu-pool" in c.cmdline())
        worker.kill()
        said = process.stdout.readline()
        assert "worker of gpu-pool ended (exit status -9); started again in" in said
        wait_for(
            lambda: any(
                "gpu-pool" in c.cmdline() and c.pid != worker.pid
                for c in psutil.Process(process.pid).children()
            ),
            process,
        )
        children = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # an impatient person
        assert process.wait(timeout=120) == 0
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    assert (tmp_path / ".fire" / "prefect.db").is_file()
