"""A whole service of real processes, for tests and benchmarks that break it.

PostgreSQL (one database for Prefect, one for the store), `prefect server start`, and
workers of the three pools, each of which can be killed and started again alone.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import psutil

from benchmarks.postgres import Postgres, free_port
from cli.service.settings import service_environment
from cli.service.supervise import Child
from fire_core.children import python_command

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[1]
WORKERS = {"control-pool": 1, "cpu-pool": 2, "gpu-pool": 1}
START_S = 180.0
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Service:
    """PostgreSQL, Prefect server and workers; use as a context manager.

    Parameters
    ----------
    folder
        Where logs, blobs and reports go.
    workers
        How many workers each pool gets.
    variables
        Added to the environment of every process.
    """

    def __init__(
        self,
        folder: Path,
        workers: Mapping[str, int] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.postgres = Postgres()
        self.workers = dict(WORKERS if workers is None else workers)
        self.children: dict[str, Child] = {}
        self.extra = dict(variables or {})
        word = self.extra.get("PREFECT_SERVER_API_AUTH_STRING")
        self.auth: tuple[str, str] | None = None
        if word is not None:
            self.extra["PREFECT_API_AUTH_STRING"] = word
            user, _, password = word.partition(":")
            self.auth = (user, password)

    def _environment(self) -> dict[str, str]:
        given = service_environment(self.folder / ".fire", "127.0.0.1", self.port)
        return {
            **given,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "OMP_NUM_THREADS": "1",
            "FIRE_DB": self.postgres.url("fire"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.postgres.url(
                "prefect", "asyncpg"
            ),
            **self.extra,
        }

    @property
    def api(self) -> str:
        """Address of the server's API."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def db(self) -> str:
        """URL of the store."""
        return self.postgres.url("fire")

    @property
    def blobs(self) -> Path:
        """Folder of the store's blobs."""
        return self.folder / ".fire" / "blobs"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.postgres.start()
        for name in ("prefect", "fire"):
            self.postgres.create(name)
        self.environment = self._environment()
        logs = self.folder / "logs"
        prefect = python_command("prefect")
        server = [*prefect, "server", "start", "--host", "127.0.0.1"]
        self._add("server", [*server, "--port", str(self.port)], logs)
        self.start("server")
        self.await_server()
        subprocess.run(
            python_command("cli.main", "deploy"),
            env=self.environment, check=True, capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip
        self._add("watch", python_command("cli.main", "watch"), logs)
        self.start("watch")
        for pool, number in self.workers.items():
            for n in range(number):
                name = f"{pool}-{n + 1}"
                command = [*prefect, "worker", "start", "--type", "process"]
                self._add(name, [*command, "--pool", pool, "--name", name], logs)
                self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self.children.values()):
            if child.process is not None:
                child.process.kill()
                child.process.wait()
        for process in self.family():
            process.kill()
        self.postgres.kill()
        self.postgres.__exit__()

    def _add(self, name: str, command: list[str], logs: Path) -> None:
        self.children[name] = Child(
            name, command, self.environment, logs / f"{name}.log"
        )

    def start(self, name: str) -> None:
        """Start a part that does not run."""
        self.children[name].start()

    def kill(self, name: str) -> None:
        """Kill a part with -9: its own process, not those that it started."""
        process = self.children[name].process
        if process is not None:
            process.kill()
            process.wait()

    def await_server(self) -> None:
        """Wait until the server answers."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                if httpx.get(f"{self.api}/health", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            if time.monotonic() > deadline:
                log = self.children["server"].log.read_text()[-3000:]
                raise RuntimeError(f"no answer from {self.api}: {log}")
            time.sleep(0.3)

    def family(self) -> list[psutil.Process]:
        """Return every process that the service has started, orphans included."""
        found = []
        for process in psutil.process_iter():
            try:
                environment = process.environ()
            except (psutil.Error, OSError):
                continue
            if environment.get("PREFECT_API_URL") == self.api:
                found.append(process)
        return found

    def flow_processes(self) -> list[psutil.Process]:
        """Return the processes that run flows."""
        names = ("prefect.engine", "prefect.flow_engine")
        return [p for p in self.family() if any(n in command_of(p) for n in names)]

    def labelling_processes(self) -> list[psutil.Process]:
        """Return the processes that label."""
        return [
            p
            for p in self.family()
            if "fire_core.campaign.steps.label_worker" in command_of(p)
        ]

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Call the server's API, again for as long as it is away."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                answer = httpx.request(
                    method, f"{self.api}/{path}", json=body, timeout=30, auth=self.auth
                )
                if answer.status_code < 500:
                    answer.raise_for_status()
                    return answer.json() if answer.content else None
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer to {method} {path}")
            time.sleep(0.5)

    def submit(self, config: Mapping[str, Any]) -> str:
        """Start a campaign by HTTP, as curl would; return the run's id."""
        parameters = {"config": dict(config)}
        return self.begin("fire-campaign/campaign", config["name"], parameters)

    def begin(
        self, deployment: str, name: str, parameters: Mapping[str, object]
    ) -> str:
        """Start a run of a deployment by HTTP, once; return its id."""
        found = self.request("GET", f"deployments/name/{deployment}")
        run = self.request(
            "POST",
            f"deployments/{found['id']}/create_flow_run",
            {
                "name": name,
                "parameters": dict(parameters),
                "idempotency_key": f"start-{name}",
            },
        )
        return str(run["id"])

    def state(self, run_id: str) -> tuple[str, str]:
        """Return the type and message of a run's state."""
        state = self.request("GET", f"flow_runs/{run_id}")["state"]
        return state["type"], state.get("message") or ""

    def wait(self, run_id: str, timeout_s: float) -> tuple[str, str]:
        """Wait for a run's end, through crashes; return its state."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            kind, message = self.state(run_id)
            if kind in FINAL - {"CRASHED"}:
                return kind, message
            time.sleep(1)
        raise TimeoutError(f"run {run_id} is {self.state(run_id)} after {timeout_s} s")

    def runs(self) -> list[dict[str, Any]]:
        """Return every flow run."""
        return list(self.request("POST", "flow_runs/filter", {"limit": 200}))


def command_of(process: psutil.Process) -> str:
    """Return a process's command line; empty when it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
