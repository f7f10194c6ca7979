"""Break a running service at random, and count what was computed.

``python -m benchmarks.chaos [--kills 50] [--seed 0] [--quick]``

Campaigns are started by HTTP on a service of real processes (PostgreSQL, Prefect
server, a control, two CPU and a GPU worker). Meanwhile workers, flows, the Prefect
server and the database are killed with -9, each started again a little later, as an
init system would; or the database is frozen for 60 s, which to its clients is a cut
network. Executions of labels are counted in the logs of the labelling processes,
outside the store: none may be lost, none computed twice. Each campaign must end with
the labels, choices and errors of the same campaign in one undisturbed process.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import yaml

from benchmarks.service import ROOT, Service
from fire_core.campaign.kinds import JUDGEMENT
from fire_core.children import python_command
from fire_core.records import LabelState
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DONE = re.compile(r"^label ([0-9a-f]+) done in", re.MULTILINE)
FREEZE_S = 60.0
TINY: dict[str, Any] = {
    "name": "chaos",
    "threads": 1,
    "system": {
        "kind": "interface",
        "bottom": {"crystal": "LiF", "miller": [0, 0, 1], "layers": 2},
        "top": {"crystal": "LiCl", "miller": [0, 0, 1], "layers": 2},
        "max_strain": 0.35,
        "min_atoms": 8,
        "max_atoms": 24,
    },
    "label": {"workers": 1, "machines": 2, "lease": 30, "max_attempts": 9},
    "perturb": {"n": 30},
    "pre_fine_tune": {"epochs": 2},
    "explore": {
        "temperatures": [300, 600],
        "replicas": 2,
        "steps": 120,
        "save_every": 2,
        "segment": 12,
    },
    "select": {"n": 40, "soap": {"workers": 1}},
    "fine_tune": {"epochs": 3},
    "evaluate": {
        "dynamics": {
            "temperatures": [400],
            "replicas": 1,
            "steps": 40,
            "save_every": 4,
            "segment": 20,
        },
        "n": 8,
        "vanilla": False,
        "stability": {"steps": 10},
    },
}


@dataclass(slots=True)
class Outcome:
    """What a run of chaos found; `lost` and `twice` name labels."""

    kills: Counter[str] = field(default_factory=Counter)
    campaigns: int = 0
    labels: int = 0
    executions: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Killer(threading.Thread):
    """Breaks one part after another until told to stop or out of kills."""

    def __init__(
        self, service: Service, kinds: Sequence[str], kills: int, rng: random.Random
    ) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.kinds = list(kinds)
        self.left = kills
        self.rng = rng
        self.done: Counter[str] = Counter()
        self.finish = threading.Event()

    def run(self) -> None:
        """Break something every few seconds."""
        ways: dict[str, Callable[[], bool]] = {
            "worker": self._worker,
            "flow": self._flow,
            "server": self._server,
            "database": self._database,
            "freeze": self._freeze,
        }
        while self.left > 0 and not self.finish.wait(self.rng.uniform(3, 15)):
            kind = self.rng.choice(self.kinds)
            if ways[kind]():
                self.left -= 1
                self.done[kind] += 1
                print(f"{time.strftime('%H:%M:%S')} {kind} ({self.left} left)")

    def _pause(self) -> None:
        time.sleep(self.rng.uniform(0.5, 5))

    def _worker(self) -> bool:
        name = self.rng.choice([n for n in self.service.children if n != "server"])
        self.service.kill(name)
        self._pause()
        self.service.start(name)
        return True

    def _flow(self) -> bool:
        processes = self.service.flow_processes()
        if not processes:
            return False
        try:
            self.rng.choice(processes).kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def _server(self) -> bool:
        self.service.kill("server")
        self._pause()
        self.service.start("server")
        self.service.await_server()
        return True

    def _database(self) -> bool:
        self.service.postgres.kill()
        self._pause()
        self.service.postgres.start()
        return True

    def _freeze(self) -> bool:
        self.service.postgres.freeze()
        time.sleep(FREEZE_S)
        self.service.postgres.thaw()
        return True


def run_chaos(
    folder: Path,
    kinds: Sequence[str],
    kills: int,
    *,
    seed: int = 0,
    timeout_s: float = 3000.0,
) -> Outcome:
    """Run campaigns under attack until there were so many kills; judge each."""
    outcome, start = Outcome(), time.monotonic()
    with Service(folder / "service") as service:
        killer = Killer(service, kinds, kills, random.Random(seed))
        killer.start()
        while killer.left > 0 or outcome.campaigns == 0:
            number = outcome.campaigns + 1
            config = TINY | {"name": f"chaos-{number}", "seed": seed + number}
            run = service.submit(config)
            kind, message = service.wait(run, timeout_s)
            if kind != "COMPLETED":
                outcome.different.append(f"chaos-{number}: {kind}, {message}")
            outcome.campaigns = number
            print(f"chaos-{number} is {kind} after {time.monotonic() - start:.0f} s")
        killer.finish.set()
        killer.join()
        outcome.kills = killer.done
        for number in range(1, outcome.campaigns + 1):
            config = TINY | {"name": f"chaos-{number}", "seed": seed + number}
            _judge(service, folder, config, outcome)
    outcome.seconds = time.monotonic() - start
    return outcome


def _judge(
    service: Service, folder: Path, config: dict[str, Any], outcome: Outcome
) -> None:
    """Compare a campaign with the same one in one undisturbed process."""
    name = config["name"]
    logs = (service.blobs.parent / "work" / name).rglob("worker.log")
    found = Counter(key for log in logs for key in DONE.findall(log.read_text()))
    alone = run_alone(folder / name, config)
    with Store.open(service.db, service.blobs) as store, alone as other:
        theory = store.theories.list()[0][0]
        rows = store.labels.rows(theory, _chosen(store, name))
        outcome.labels += len(rows)
        outcome.executions += sum(found.values())
        outcome.lost += [r.key for r in rows if r.state is not LabelState.DONE]
        outcome.twice += [key for key, number in found.items() if number > 1]
        outcome.lost += [r.key for r in rows if r.key[:12] not in found]
        for round_, purpose in ((0, "perturb"), (1, "selected")):
            one = store.selections.get(name, round_, purpose)
            two = other.selections.get(name, round_, purpose)
            if one is None or two is None or one.keys != two.keys:
                outcome.different.append(f"{name}: other structures in {purpose}")
        outcome.different += _other_errors(store, other, name)


def _chosen(store: Store, name: str) -> list[str]:
    keys: list[str] = []
    for round_, purpose in ((0, "perturb"), (1, "selected"), (1, "test")):
        row = store.selections.get(name, round_, purpose)
        keys += [] if row is None else row.keys
    return list(dict.fromkeys(keys))


def _other_errors(
    one: Store, two: Store, name: str, tolerance: float = 0.03
) -> list[str]:
    """Compare the errors of the models; a resumed training agrees to rounding."""
    different = []
    for row in two.evaluations.list(JUDGEMENT, name):
        found = one.evaluations.get(
            JUDGEMENT, name, round_=row.round, subject=row.subject
        )
        if found is None:
            different.append(f"{name}: {row.subject} was not judged")
            continue
        a, b = found.test.force_rmse, row.value.test.force_rmse
        if abs(a - b) > tolerance * b:
            different.append(f"{name}: {row.subject} has {a:.2f} meV/Å, alone {b:.2f}")
    return different


def run_alone(folder: Path, config: dict[str, Any]) -> Store:
    """Run a campaign in one process, undisturbed; return its open store."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "campaign.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        python_command("cli.main", "campaign", "run", "campaign.yaml"),
        cwd=folder, capture_output=True, text=True, check=False, timeout=900,
        env=_plain_environment(folder),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return Store.open(f"sqlite:///{folder}/.fire/fire.db", folder / ".fire" / "blobs")


def _plain_environment(folder: Path) -> dict[str, str]:
    import os

    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")},
        "PREFECT_HOME": str(folder / "prefect"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
    }


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="three kills")
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    kinds = ["worker"] * 4 + ["flow"] * 4 + ["server"] * 3 + ["database"] * 3
    kinds.append("freeze")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="fire-chaos-"))
    found = run_chaos(folder, kinds, 3 if given.quick else given.kills, seed=given.seed)
    for kind, number in sorted(found.kills.items()):
        print(f"{kind:10} {number}")
    figures = {
        "kills": sum(found.kills.values()),
        "campaigns": found.campaigns,
        "labels": found.labels,
        "executions": found.executions,
        "lost": len(found.lost),
        "computed_twice": len(found.twice),
        "different": found.different,
        "seconds": round(found.seconds),
    }
    print(json.dumps(figures))
    sys.exit(bool(found.lost or found.twice or found.different))


if __name__ == "__main__":
    main()
