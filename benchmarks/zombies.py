"""How long a dead run is taken for a living one, and when its campaign goes on.

``python -m benchmarks.zombies``

A worker and the process of the run that it holds are killed with -9 together, as when
a machine is lost, so that nobody is left to report it; the worker comes back after
five seconds. Once for a step (labelling), once for the campaign's own run.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.chaos import TINY
from benchmarks.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

BACK_S = 5.0


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    figures: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="fire-zombies-"))
    workers = dict.fromkeys(("control-pool", "cpu-pool", "gpu-pool"), 1)
    config = TINY | {"name": "zombie", "label": {"workers": 2, "lease": 30}}
    config |= {"perturb": {"n": 50}}
    with Service(folder, workers) as service:
        run = service.submit(config)
        for what, name, pool in (
            ("step", "zombie-label-perturb-0", "cpu-pool-1"),
            ("campaign", "zombie", "control-pool-1"),
        ):
            print(f"waiting for {name}", flush=True)
            figures[what] = _lose(service, name, pool)
            print(f"{what}: {figures[what]}", flush=True)
        start = time.monotonic()
        figures["state"], _ = service.wait(run, 1200)
        figures["finished_after_s"] = round(time.monotonic() - start)
    print(f"{'lost':10}{'declared dead':>15}{'goes on':>10}   s after the kill")
    for what in ("step", "campaign"):
        row = figures[what]
        print(f"{what:10}{row['crashed_s']:15.0f}{row['on_s']:10.0f}")
    print(json.dumps(figures))


def _lose(service: Service, name: str, worker: str) -> dict[str, float]:
    """Kill a run's process and its worker; return what happened when, s."""
    run = _until(lambda: _running(service, name))
    time.sleep(35)  # it has said once that it lives
    service.kill(worker)
    for process in service.flow_processes():
        if process.environ().get("PREFECT__FLOW_RUN_ID") == run["id"]:
            process.kill()
    start = time.monotonic()
    time.sleep(BACK_S)
    service.start(worker)
    _until(lambda: service.state(run["id"])[0] != "RUNNING")
    crashed = time.monotonic() - start
    _until(lambda: _running(service, name, but=run))
    return {"crashed_s": crashed, "on_s": time.monotonic() - start}


def _running(
    service: Service, name: str, but: dict[str, Any] | None = None
) -> dict[str, Any] | None:
    """Return a run of this name that is running: another, or the same once more."""
    for run in service.runs():
        if run["name"] != name or run["state"]["type"] != "RUNNING":
            continue
        again = but is not None and run["id"] == but["id"]
        if again and run["run_count"] <= but["run_count"]:  # type: ignore[index]
            continue
        return run
    return None


def _until(holds: Callable[[], Any], timeout_s: float = 600) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(holds)
        time.sleep(0.5)
    return found


if __name__ == "__main__":
    main()
