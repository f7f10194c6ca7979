"""What the orchestration of labels costs.

``python -m benchmarks.orchestration [--quick]``

Instant labels (a Lennard-Jones potential, 8 atoms) go through the CPU pool of a real
service on PostgreSQL: deployment `fire-label/label`, worker, labelling processes,
claims and writes in the store. Beside it, in the same run, the plain loop over the
same labelling function without store or orchestrator, and one Prefect task for each
label, which is how a label would be written in the simplest way.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import psutil
from ase.build import bulk

from benchmarks.service import Service
from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_to_json
from fire_core.config.theory import LennardJonesTheory
from fire_core.labelling.run import run_label
from fire_core.records import LabelState
from fire_core.storage.selections import LabelScope, SelectionRow
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from ase import Atoms

LANES = 2
THEORY = LennardJonesTheory()
TASK_FLOW = """
import json, sys
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner
from ase.build import bulk
from fire_core.config.theory import LennardJonesTheory
from fire_core.labelling.codes.lennard_jones import compute

@task
def label(number):
    atoms = bulk("LiCl", "rocksalt", a=5.1 + 1e-5 * number, cubic=True)
    return compute(LennardJonesTheory(), atoms).energy

@flow(task_runner=ThreadPoolTaskRunner(max_workers=8))
def labels(n):
    label.map(list(range(n))).result()

labels(int(sys.argv[1]))
"""


@dataclass(slots=True)
class Watch:
    """CPU seconds and memory of the server's processes while a block runs."""

    pid: int
    cpu_s: float = 0.0
    memory_mb: list[float] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def _look(self) -> None:
        while not self._done.wait(1.0):
            self.memory_mb.append(_memory_mb(self.pid))

    def __enter__(self) -> Self:
        self.cpu_s = -_cpu_s(self.pid)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        self.cpu_s += _cpu_s(self.pid)
        self.memory_mb.append(_memory_mb(self.pid))


def _tree(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _cpu_s(pid: int) -> float:
    return sum(sum(p.cpu_times()[:2]) for p in _tree(pid))


def _memory_mb(pid: int) -> float:
    return sum(p.memory_info().rss for p in _tree(pid)) / 1e6


def frames(n: int, seed: int) -> list[Atoms]:
    """Return `n` different cells of eight atoms."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        found.append(atoms)
    return found


def plain_loop(n: int) -> float:
    """Return the seconds for each label in a loop, through the same Maker."""
    structures = frames(n, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        run_label(THEORY, structures[0], workdir=Path(folder))  # imports
        start = time.monotonic()
        for atoms in structures:
            run_label(THEORY, atoms, workdir=Path(folder))
    return (time.monotonic() - start) / n


def through_the_pool(service: Service, n: int) -> dict[str, float]:
    """Label `n` structures by the deployment; return what it took."""
    name = f"instant-{n}"
    config = CampaignConfig.model_validate(
        {
            "name": name,
            "system": {"kind": "file", "path": "unused.cif"},
            "theory": THEORY.model_dump(),
            "label": {"workers": LANES},
        }
    )
    with Store.open(service.db, service.blobs) as store:
        store.campaigns.open(name, config_to_json(config))
        keys = store.structures.add(frames(n, seed=n), source="benchmark")
        store.selections.save(name, 1, "selected", SelectionRow("all", keys))
        deployment = service.request("GET", "deployments/name/fire-label/label")
        ref = {"name": name, "db": service.db, "blobs": str(service.blobs)}
        server = service.children["server"].process
        assert server is not None
        start = time.monotonic()
        with Watch(server.pid) as watch:
            run = service.request(
                "POST",
                f"deployments/{deployment['id']}/create_flow_run",
                {"parameters": {"ref": ref, "round_": 1, "purpose": "selected"}},
            )
            kind, message = service.wait(str(run["id"]), 1800)
        wall = time.monotonic() - start
        counts = store.labels.counts(choice=LabelScope(name, 1, "selected"))
    assert kind == "COMPLETED", message
    assert counts == {LabelState.DONE: n}
    return {
        "labels": n,
        "wall_s": wall,
        "ms_per_label": 1e3 * wall / n,
        "server_cpu_ms_per_label": 1e3 * watch.cpu_s / n,
        "server_mb_first": watch.memory_mb[0],
        "server_mb_last": watch.memory_mb[-1],
    }


def a_task_each(service: Service, n: int) -> dict[str, float]:
    """Run one Prefect task for each label against the same server."""
    server = service.children["server"].process
    assert server is not None
    start = time.monotonic()
    with Watch(server.pid) as watch:
        subprocess.run(
            [sys.executable, "-c", TASK_FLOW, str(n)],
            env={**os.environ, **service.environment, "PREFECT_LOGGING_LEVEL": "ERROR"},
            check=True, timeout=1800, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
    wall = time.monotonic() - start
    return {
        "labels": n,
        "wall_s": wall,
        "ms_per_label": 1e3 * wall / n,
        "server_cpu_ms_per_label": 1e3 * watch.cpu_s / n,
        "server_mb_first": watch.memory_mb[0],
        "server_mb_last": watch.memory_mb[-1],
    }


def main() -> None:
    """Measure, print a table and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    sizes, tasks = ([200], 50) if quick else ([1000, 10000], 1000)
    loop_ms = 1e3 * plain_loop(50 if quick else 500)
    rows: list[tuple[str, dict[str, Any]]] = []
    folder = Path(tempfile.mkdtemp(prefix="fire-orchestration-"))
    with Service(folder, workers={"cpu-pool": 1}) as service:
        rows += [("pool", through_the_pool(service, n)) for n in sizes]
        rows.append(("one task each", a_task_each(service, tasks)))
    print(f"{'way':15}{'labels':>8}{'ms/label':>10}{'server CPU ms':>15}"
          f"{'server MB':>18}")  # fmt: skip
    print(f"{'plain loop':15}{'':8}{loop_ms:10.1f}   (one process)")
    for way, row in rows:
        memory = f"{row['server_mb_first']:.0f} to {row['server_mb_last']:.0f}"
        print(
            f"{way:15}{row['labels']:8}{row['ms_per_label']:10.1f}"
            f"{row['server_cpu_ms_per_label']:15.2f}{memory:>18}"
        )
    largest = rows[-2][1]
    figures = {
        # Lanes compute at once, so a label's own time counts once for all of them.
        "ms_per_label": largest["ms_per_label"] - loop_ms / LANES,
        "ms_per_label_with_its_own_time": largest["ms_per_label"],
        "loop_ms_per_label": loop_ms,
        "rows": [{"way": way, **row} for way, row in rows],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
