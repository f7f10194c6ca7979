"""A PostgreSQL server of one's own, for tests and benchmarks: start, kill, start again.

Needs the server's programs (Debian: `apt-get install postgresql`), found on the PATH
or where Debian puts them. As root it runs under the account `postgres`, since the
server refuses to be root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNTS = ("postgres", "nobody")
START_S = 30.0


def find_program(name: str) -> str | None:
    """Return the path of one of PostgreSQL's programs, None where there is none."""
    found = shutil.which(name)
    if found:
        return found
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(places[0]) if places else None


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """A server with its data in a temporary folder; use as a context manager.

    Parameters
    ----------
    settings
        Options of `postgresql.conf`.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.settings = dict(settings or {})
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="fire-pg-"))
        self.data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: dict[str, object] = {}
        if os.geteuid() == 0:
            account = _account()
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._identity = {
                "user": account.pw_uid,
                "group": account.pw_gid,
                "extra_groups": [],
            }
        _run([_need("initdb"), "-D", str(self.data), "-U", "fire", "-A", "trust",
              "-E", "UTF8", "--locale=C", "--no-sync"], self._identity)  # fmt: skip

    def url(self, database: str, driver: str = "psycopg") -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+{driver}://fire@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            **self.settings,
        }
        words = [
            w for name, value in options.items() for w in ("-c", f"{name}={value}")
        ]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_need("postgres"), "-D", str(self.data), *words],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._identity,  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + START_S
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                msg = (self.folder / "server.log").read_text()[-2000:]
                raise RuntimeError(f"PostgreSQL did not start: {msg}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Return whether the server takes connections."""
        done = subprocess.run(
            [_need("psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "fire",
             "-d", "postgres", "-c", "select 1"],
            capture_output=True, check=False, timeout=20,
        )  # fmt: skip
        return done.returncode == 0

    def kill(self) -> None:
        """Kill the server and every backend with -9, as a power cut would."""
        if self._process is None:
            return
        backends = _family(self._process.pid)  # each leads a session of its own
        os.kill(self._process.pid, signal.SIGKILL)
        for pid in backends:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(timeout=30)
        self._process = None
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Stop every process of the server: to its clients, a cut network."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume a frozen server."""
        for pid in self._processes():
            os.kill(pid, signal.SIGCONT)

    def _processes(self) -> list[int]:
        if self._process is None:
            return []
        return [self._process.pid, *_family(self._process.pid)]

    def stop(self) -> None:
        """Stop the server at once, its data kept in order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=60)
            self._process = None

    def create(self, database: str) -> str:
        """Make an empty database; return its URL."""
        self.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as the server's superuser; return what psql prints."""
        return subprocess.run(
            [_need("psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "fire",
             "-d", database, "-tA", "-v", "ON_ERROR_STOP=1", "-c", statement],
            capture_output=True, check=True, text=True, timeout=600,
        ).stdout.strip()  # fmt: skip

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def missing_programs() -> str | None:
    """Return why no server can be started here; None when one can."""
    absent = [name for name in ("initdb", "postgres", "psql") if not find_program(name)]
    if absent:
        return f"PostgreSQL is absent ({', '.join(absent)}): apt-get install postgresql"
    if os.geteuid() == 0 and _account_or_none() is None:
        return f"root needs one of the accounts {', '.join(ACCOUNTS)} to run PostgreSQL"
    return None


def _need(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise RuntimeError(missing_programs())
    return found


def _account_or_none() -> pwd.struct_passwd | None:
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _account() -> pwd.struct_passwd:
    account = _account_or_none()
    if account is None:
        raise RuntimeError(missing_programs())
    return account


def _family(pid: int) -> list[int]:
    """Return the children of a process."""
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return [int(word) for word in done.stdout.split()]


def _run(command: list[str], identity: dict[str, object]) -> None:
    done = subprocess.run(  # type: ignore[call-overload]
        command, capture_output=True, text=True, check=False, cwd="/", **identity
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")
