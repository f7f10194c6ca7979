"""`fire serve`: Prefect server, a worker for each pool, dashboard; on one machine."""

from __future__ import annotations

import os
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import httpx
import typer

from cli.service.settings import service_environment
from cli.service.supervise import Child, ignore_ending, stop_once
from fire_core.children import python_command
from fire_core.config import environment
from fire_core.errors import FireError
from fire_core.progress import Work

if TYPE_CHECKING:
    pass

START_S: Final = 180.0
POLL_S: Final = 0.5


def serve(
    folder: Annotated[
        Path, typer.Option(help="Where databases, blobs and logs are kept.")
    ] = Path(".fire"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of Prefect's page and API.")] = 4200,
    dashboard_port: Annotated[int, typer.Option(help="0: no dashboard.")] = 8501,
) -> None:
    """Run the whole service here: Prefect server, a worker per pool, the dashboard.

    Stop it with Ctrl-C at any time; started again, interrupted campaigns go on. Where
    FIRE_DB and PREFECT_SERVER_DATABASE_CONNECTION_URL name PostgreSQL databases, it
    uses those.
    """
    variables = service_environment(folder, host, port)
    _refuse_taken(variables["PREFECT_API_URL"])
    logs = folder.resolve() / "service"
    server_words = ("server", "start", "--host", host, "--port", str(port))
    server = Child(
        "Prefect server",
        python_command("prefect", *server_words),
        variables,
        logs / "server.log",
    )
    children = [server]
    stop_once()
    try:
        with Work("starting Prefect's server"):
            server.start()
            _await_server(server, variables)
        with Work("deploying the flows"):
            _deploy(variables)
        children += _workers(variables, logs)
        watch = python_command("cli.main", "watch")
        children.append(Child("watch", watch, variables, logs / "watch.log"))
        if dashboard_port and find_spec("dashboard") is not None:
            children.append(_dashboard(variables, logs, host, dashboard_port))
        for child in children[1:]:
            child.start()
        _announce(variables, host, dashboard_port, children)
        while True:
            time.sleep(POLL_S)
            for child in children:
                child.look(typer.echo)
    except KeyboardInterrupt:
        typer.echo("stopping: labelling processes finish their labels")
    finally:
        ignore_ending()
        for child in children[1:]:
            child.ask_to_stop()
        for child in reversed(children):
            child.stop()


def _refuse_taken(api: str) -> None:
    if _answers(api):
        msg = (
            f"a Prefect server answers at {api} already: use it by exporting "
            "PREFECT_API_URL, or serve on another --port"
        )
        raise FireError(msg)


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _await_server(server: Child, variables: dict[str, str]) -> None:
    deadline = time.monotonic() + START_S
    while not _answers(variables["PREFECT_API_URL"]):
        process = server.process
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            tail = server.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            msg = f"the Prefect server did not start; the end of {server.log}:\n{tail}"
            raise FireError(msg)
        time.sleep(POLL_S)


def _deploy(variables: dict[str, str]) -> None:
    """Deploy, and declare runs crashed whose processes ended with the last service."""
    done = subprocess.run(
        python_command("cli.service.recover"),
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"the deployments could not be made:\n{done.stdout}{done.stderr}"
        raise FireError(msg)


def _workers(variables: dict[str, str], logs: Path) -> list[Child]:
    from cli.service.blueprint import POOLS

    return [
        Child(
            f"worker of {pool}",
            python_command(
                *("prefect", "worker", "start", "--pool", pool, "--type", "process"),
                *("--name", f"{pool}-{os.uname().nodename}"),
            ),
            variables,
            logs / f"{pool}.log",
        )
        for pool in POOLS
    ]


def _dashboard(variables: dict[str, str], logs: Path, host: str, port: int) -> Child:
    command = python_command("cli.main", "dashboard")
    command += ["--host", host, "--port", str(port)]
    return Child("dashboard", command, variables, logs / "dashboard.log")


def _announce(
    variables: dict[str, str], host: str, dashboard_port: int, children: list[Child]
) -> None:
    lines = [
        f"Prefect: http://{host}:{variables['PREFECT_API_URL'].split(':')[-1][:-4]}",
        f"store: {variables[environment.DATABASE]}",
        f"logs: {children[0].log.parent}",
        f"start a campaign: PREFECT_API_URL={variables['PREFECT_API_URL']} fire "
        "campaign submit FILE",
    ]
    if any(child.name == "dashboard" for child in children):
        lines.insert(1, f"dashboard: http://{host}:{dashboard_port}")
    for line in lines:
        typer.echo(line)
