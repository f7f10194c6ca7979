"""How long the dashboard's pages take over a large store, SQLite and PostgreSQL.

``python -m benchmarks.dashboard [--structures N] [--times N] [--quick]``. The store has
100,000 structures, a fifth of them with labels, in campaigns of 20,000; the dashboard
is a process of its own, asked over HTTP, each page in turn. The first answer of a page
is told apart from the later ones. PostgreSQL is measured where its programs are found.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from benchmarks.postgres import Postgres, free_port, missing_programs
from benchmarks.scale_fill import Filled, grow
from fire_core.children import python_command
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S: Final = 120.0


def pages_of(filled: Filled) -> dict[str, str]:
    """Return the pages by what is shown."""
    name, key = filled.campaigns[0], filled.keys[0]
    return {
        "campaigns": "/",
        "a campaign": f"/campaigns/{name}",
        "structures": "/structures",
        "structures, by formula": "/structures?formula=Cl32Li32",
        "structures, by elements": "/structures?elements=Li",
        "structures of a campaign": f"/structures?campaign={name}",
        "structures with failed labels": "/structures?state=failed",
        "a structure": f"/structures/{key}",
        "labels": "/labels",
        "labels, done": "/labels?theory=pbe&state=done",
        "approve": "/approve",
        "models": "/models",
        "properties": "/properties",
        "system": "/system",
        "API, 500 structures": "/api/v1/structures?limit=500",
    }


@contextmanager
def serving(url: str, folder: Path) -> Iterator[str]:
    """Run a dashboard; give its address."""
    port = free_port()
    command = python_command("cli.main", "dashboard", "--port", str(port))
    command += ["--db", url, "--blobs", str(folder / "blobs")]
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    with subprocess.Popen(command, env=environment) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address)
            yield address
        finally:
            process.terminate()


def _wait(address: str) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            httpx.get(f"{address}/health", timeout=5)
        except httpx.HTTPError:
            time.sleep(0.3)
        else:
            return
    sys.exit(f"the dashboard at {address} did not start")


def time_pages(address: str, filled: Filled, times: int) -> dict[str, dict[str, float]]:
    """Return first, median and longest time of each page, ms."""
    found = {}
    with httpx.Client(base_url=address, timeout=120) as web:
        for name, path in pages_of(filled).items():
            took = []
            for _ in range(times + 1):
                start = time.perf_counter()
                answer = web.get(path)
                took.append(1e3 * (time.perf_counter() - start))
                if answer.status_code != httpx.codes.OK:
                    sys.exit(f"{path} answered {answer.status_code}: {answer.text}")
            found[name] = {
                "first_ms": took[0],
                "median_ms": statistics.median(took[1:]),
                "longest_ms": max(took[1:]),
            }
    return found


def measure(url: str, folder: Path, structures: int, times: int) -> dict[str, Any]:
    """Fill a store and time its pages."""
    filled = Filled()
    with Store.open(url, folder / "blobs") as store:
        is_large = store.engine.dialect.name == "postgresql"
        grow(store, filled, structures, by_copy=is_large)
        counts = store.labels.counts()
    with serving(url, folder) as address:
        pages = time_pages(address, filled, times)
    return {
        "structures": structures,
        "labels": sum(counts.values()),
        "pages": pages,
        "slowest_ms": max(page["longest_ms"] for page in pages.values()),
    }


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.dashboard", description=__doc__)
    parser.add_argument("--structures", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.structures, arguments.times = 2_000, 2
    figures = {}
    with tempfile.TemporaryDirectory(prefix="fire-dashboard-") as name:
        folder = Path(name)
        size = (arguments.structures, arguments.times)
        figures["sqlite"] = measure(f"sqlite:///{folder}/fire.db", folder, *size)
        if missing_programs():
            print("PostgreSQL: not measured, its programs are absent")
        else:
            with Postgres() as server:
                url = server.create("pages")
                figures["postgresql"] = measure(url, folder / "pg", *size)
    for kind, found in figures.items():
        print(f"{kind}: {found['structures']} structures, {found['labels']} labels")
        for page, took in found["pages"].items():
            print(
                f"  {page:32s} first {took['first_ms']:7.0f} ms   median "
                f"{took['median_ms']:7.0f}   longest {took['longest_ms']:7.0f}"
            )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
