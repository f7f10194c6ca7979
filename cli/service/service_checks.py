"""Is the service well? What can be seen from this machine: versions, store, GPUs."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fire_core.errors import StoreError

SLOW_MS: Final = 50.0
CLOCKS_S: Final = 5.0
LOW_BYTES: Final = 10e9
LOW_PART: Final = 0.1
FULL_BYTES: Final = 1e9
PYTHONS: Final = ("3.11", "3.12", "3.13")
"""As `requires-python` of pyproject.toml."""


class Status(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name, status
        What it is about, and how it stands.
    what
        A sentence with its numbers.
    remedy
        What to do; empty where nothing needs doing.
    """

    name: str
    status: Status
    what: str
    remedy: str = ""


def ok(name: str, what: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name, Status.OK, what)


def warning(name: str, what: str, remedy: str) -> Check:
    """Return a check that found something which will become trouble."""
    return Check(name, Status.WARNING, what, remedy)


def error(name: str, what: str, remedy: str) -> Check:
    """Return a check that found what keeps the service from working."""
    return Check(name, Status.ERROR, what, remedy)


def check_machine(url: str, blobs: str | Path) -> list[Check]:
    """Check this machine and the store as seen from it."""
    return [
        check_python(),
        *check_database(url),
        *check_blobs(Path(blobs)),
        check_gpus(),
    ]


def check_python() -> Check:
    """Return which versions run here."""
    what = (
        f"FIRE {version('fire-mlip')}, Prefect {version('prefect')}, "
        f"Python {platform.python_version()}"
    )
    if ".".join(platform.python_version_tuple()[:2]) not in PYTHONS:
        cure = f"FIRE needs Python {PYTHONS[0]} to {PYTHONS[-1]}: install it there"
        return error("versions", what, cure)
    return ok("versions", what)


def check_database(url: str) -> list[Check]:
    """Check the store's database; it is neither made nor migrated."""
    from fire_core.storage.copying import NoStoreError
    from fire_core.storage.health import examine_database

    try:
        health = examine_database(url)
    except NoStoreError as problem:
        cure = "the first campaign makes it; is FIRE_DB or --db what the workers use?"
        return [warning("store", str(problem), cure)]
    except StoreError as problem:
        cure = "mend the database, or set FIRE_DB or --db to the one the workers use"
        return [error("store", str(problem), cure)]
    where = f"{health.kind}, schema {health.schema}"
    if health.is_newer:
        cure = "upgrade FIRE here: `pip install --upgrade fire-mlip`"
        checks = [error("store", f"{where}, written by a newer FIRE", cure)]
    elif health.schema != health.newest_schema:
        cure = "`fire db backup FOLDER`; then any command that opens it migrates it"
        what = f"{where}, this FIRE has {health.newest_schema}"
        checks = [warning("store", what, cure)]
    else:
        checks = [ok("store", where)]
    trip = f"an answer takes {health.round_trip_ms:.1f} ms"
    if health.round_trip_ms > SLOW_MS:
        cure = "a step asks hundreds of times: run workers near the database"
        checks.append(warning("store's answers", trip, cure))
    else:
        checks.append(ok("store's answers", trip))
    checks.append(compare_clocks("store's clock", health.clock_ahead_s))
    return checks


def compare_clocks(name: str, ahead_s: float) -> Check:
    """Judge how far another clock is ahead of this machine's."""
    what = f"{ahead_s:+.1f} s from this machine's"
    if abs(ahead_s) > CLOCKS_S:
        cure = "let both machines run a time service, such as chrony"
        return warning(name, what, cure)
    return ok(name, what)


def check_blobs(folder: Path) -> list[Check]:
    """Check the folder of blobs: may be written to, has space."""
    if not folder.is_dir():
        what = f"{folder.absolute()} does not exist; the first blob would make it"
        cure = "is FIRE_BLOBS or --blobs the folder that the workers use?"
        checks = [warning("blobs", what, cure)]
    else:
        try:
            with tempfile.TemporaryFile(dir=folder):
                checks = [ok("blobs", f"{folder.absolute()} may be written to")]
        except OSError as problem:
            what = f"{folder.absolute()} cannot be written to: {problem.strerror}"
            cure = "give the account that runs FIRE the right, or free the disk"
            checks = [error("blobs", what, cure)]
    return [*checks, check_disk(folder)]


def check_disk(folder: Path) -> Check:
    """Check the space that is free where a folder is, or would be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    part = usage.free / usage.total
    what = f"{usage.free / 1e9:.0f} GB free of {usage.total / 1e9:.0f} GB ({part:.0%})"
    cure = (
        "free the disk; finished campaigns' work folders may go, blobs must not: the "
        "store names them"
    )
    if usage.free < FULL_BYTES:
        return error("disk of the blobs", what, cure)
    if usage.free < LOW_BYTES or part < LOW_PART:
        return warning("disk of the blobs", what, cure)
    return ok("disk of the blobs", what)


def check_gpus() -> Check:
    """Compare the GPUs that the driver shows with those that torch can use."""
    from fire_core.backbones.registry import count_gpus

    usable, shown = count_gpus(), _driver_gpus()
    if not usable and not shown:
        return ok("GPU", "none on this machine; what runs here computes on its CPU")
    what = f"torch uses {usable} of {len(shown)}: {', '.join(shown) or 'no driver'}"
    if usable < len(shown):
        cure = (
            "install torch for CUDA, or a newer driver; is CUDA_VISIBLE_DEVICES meant?"
        )
        return warning("GPU", what, cure)
    return ok("GPU", what)


def _driver_gpus() -> list[str]:
    """Return name and driver of each GPU, as nvidia-smi has them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            query, capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return [" driver ".join(map(str.strip, line.split(","))) for line in lines if line]
