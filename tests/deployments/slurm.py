"""A Slurm of one node on this machine, with its own ports, keys and folders."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self

from benchmarks.postgres import free_port

PROGRAMS: Final = ("munged", "slurmctld", "slurmd", "sbatch")
CORES: Final = 2
START_S: Final = 60.0
CONF: Final = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthInfo=socket={folder}/munge/socket
SlurmUser=root
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=2000
PartitionName=main Nodes=ALL Default=YES State=UP
"""


def missing_slurm() -> str | None:
    """Return why no Slurm can be started here; None: one can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} not found: apt install slurm-wlm munge"
    return None if os.getuid() == 0 else "only root can start Slurm's daemons"


class Slurm:
    """Its daemons, as a context manager; `environment` lets sbatch find them."""

    def __init__(self) -> None:
        # A socket's path must be short, and munged distrusts what all can write to.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/run"))
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir()
        host = socket.gethostname().partition(".")[0]
        ports = (free_port(), free_port())
        conf = CONF.format(host=host, ports=ports, folder=self.folder, cores=CORES)
        (self.folder / "slurm.conf").write_text(conf)
        munge = self.folder / "munge"
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o600)
        self.folder.chmod(0o755)
        files = [f"--{n}-file={munge / n}" for n in ("key", "pid", "seed", "log")]
        self._start("munged", "--foreground", f"--socket={munge / 'socket'}", *files)
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D")
        deadline = time.monotonic() + START_S
        while "idle" not in self.run("sinfo", "--noheader", check=False):
            assert time.monotonic() < deadline, self._logs()
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str, check: bool = True, **variables: str) -> str:
        """Run a command of Slurm's; return what it printed."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def show(self, job: str) -> dict[str, str]:
        """Return what Slurm knows of a job."""
        words = self.run("scontrol", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def _start(self, *command: str) -> None:
        environment = {**os.environ, **self.environment}
        with (self.folder / f"{command[0]}.out").open("wb") as out:
            self._daemons.append(
                subprocess.Popen(command, env=environment, stdout=out, stderr=out)
            )

    def _logs(self) -> str:
        files = sorted(self.folder.glob("slurm*.*"))
        return "".join(f"{path}:\n{path.read_text()[-2000:]}\n" for path in files)
