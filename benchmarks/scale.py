"""The store with a million structures on PostgreSQL: rates, sizes, claims, queries.

``python -m benchmarks.scale [--quick] [--structures N] [--labels N] [--explain]``. A
private server (fsync on) is filled in steps; at each step the queries of campaigns and
the dashboard are timed, at the last one labels are claimed by many processes at once.
ASE's own database, and an empty store, take the same labelled structures beside it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.postgres import Postgres
from benchmarks.scale_claims import Load, Outcome, commit_ms, old_snapshot, run_load
from benchmarks.scale_fill import THEORIES, Filled, grow, make_frames, refill
from benchmarks.scale_peers import Rate, make_set, rate_ase, rate_sqlite, rate_store
from benchmarks.scale_queries import (
    explain,
    fit_exponents,
    list_queries,
    sizes_on_disk,
    time_queries,
)
from fire_core.records import LabelState
from fire_core.storage.store import Store
from fire_core.structures.content import pack, structure_key

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = {
    "fsync": "on",
    "shared_buffers": "1GB",  # a small part of the database, as it will be later
    "effective_cache_size": "8GB",
    "random_page_cost": "1.1",  # a solid-state disk
    "max_wal_size": "8GB",  # else a fill is a row of checkpoints
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "maintenance_work_mem": "512MB",
}
DATABASE = "fire"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is rehearsed; times in seconds."""

    steps: tuple[int, ...]
    every: int
    queue: int
    peers: int
    load_s: float
    loads: tuple[tuple[int, int, bool], ...]


LOADS = tuple((n, limit, True) for limit in (1, 25) for n in (1, 16, 64))
FULL = Size(
    (10_000, 100_000, 1_000_000), 5, 20_000, 5000, 6.0, (*LOADS, (64, 1, False))
)
QUICK = Size((1000, 4000), 5, 400, 300, 0.7, ((1, 1, True), (16, 25, True)))


def rehearse(size: Size, folder: Path, *, plans: bool = False) -> dict[str, Any]:
    """Fill a private server step by step; return every figure."""
    with Postgres(SETTINGS) as server:
        url, blobs = server.create(DATABASE), folder / "blobs"
        filled = Filled(every=size.every)
        steps = []
        for n in size.steps:
            with Store.open(url, blobs) as store:
                steps.append(measure_step(server, store, filled, n))
        with Store.open(url, blobs) as store:
            shown = explain_all(store, filled) if plans else {}
            facts = count_states(store)
        figures = {
            "steps": steps,
            "exponents": fit_exponents(size.steps, [s["queries_ms"] for s in steps]),
            "states": facts,
            "packing_us": packing_us(min(2000, size.steps[0])),
            "commit_ms": commit_ms(url, 200),
            "claims": list(measure_claims((url, blobs), filled, size)),
            "plans": shown,
        }
        server.execute("VACUUM (ANALYZE)", DATABASE)
        data = make_set(size.peers)
        with Store.open(url, blobs) as store:
            name = f"FIRE, PostgreSQL, {size.steps[-1]} structures in it"
            rates = [rate_store(name, store, data)]
        rates += [rate_sqlite(folder, data), rate_ase(folder, data)]
        return figures | {"peers": [asdict(rate) for rate in rates]}


def measure_step(
    server: Postgres, store: Store, filled: Filled, n: int
) -> dict[str, Any]:
    """Fill up to `n` structures, tidy as autovacuum would, and time the queries."""
    start = time.perf_counter()
    tally = grow(store, filled, n)
    filling = time.perf_counter() - start
    start = time.perf_counter()
    server.execute("VACUUM (ANALYZE)", DATABASE)
    return {
        "structures": len(filled.keys),
        "labels": filled.n_labels,
        "campaigns": len(filled.campaigns),
        "fill_s": filling,
        "vacuum_s": time.perf_counter() - start,
        "rates_per_s": tally.rates(),
        "bytes": sizes_on_disk(store),
        "queries_ms": time_queries(list_queries(store, filled)),
    }


def count_states(store: Store) -> dict[str, dict[str, int]]:
    """Return how many labels of each theory are in which state."""
    return {
        theory: {str(k): n for k, n in store.labels.counts(theory).items()}
        for theory in THEORIES
    }


def explain_all(store: Store, filled: Filled) -> dict[str, list[str]]:
    """Return PostgreSQL's plans of every query."""
    queries = list_queries(store, filled)
    return {name: explain(store, ask) for name, ask in queries.items()}


def packing_us(n: int) -> dict[str, float]:
    """Return what a structure's key and bytes cost before the database, µs each."""
    frames = make_frames(0, n)
    cost = {}
    for name, work in (("hashing", structure_key), ("packing", pack)):
        start = time.perf_counter()
        for atoms in frames:
            work(atoms)
        cost[name] = 1e6 * (time.perf_counter() - start) / n
    return cost


def measure_claims(
    where: tuple[str, Path], filled: Filled, size: Size
) -> Iterator[dict[str, Any]]:
    """Run more and more processes that claim; at last while an old snapshot is held."""
    for claimers, limit, by_choice in size.loads:
        load = Load(claimers, limit, size.load_s, by_choice)
        yield _one_load(where, filled, size.queue, load) | {"old_snapshot": False}
    for held in (True, False):
        load = Load(4, 25, 3 * size.load_s, by_choice=False)
        if held:
            with old_snapshot(where[0]):
                outcome = _one_load(where, filled, size.queue, load)
        else:
            outcome = _one_load(where, filled, size.queue, load)
        yield outcome | {"old_snapshot": held}


def _one_load(
    where: tuple[str, Path], filled: Filled, queue: int, load: Load
) -> dict[str, Any]:
    with Store.open(*where) as store:  # closed before the processes are forked
        choice = refill(store, filled, queue)
        waiting = store.labels.counts(THEORIES[0]).get(LabelState.WANTED, 0)
    outcome: Outcome = run_load(*where, load, choice)
    return asdict(outcome) | {"queue": waiting}


def show(figures: dict[str, Any]) -> None:
    """Print the figures as tables."""
    steps = figures["steps"]
    for step in steps:
        per = step["bytes"]
        print(
            f"\n{step['structures']} structures, {step['labels']} labels, "
            f"{step['campaigns']} campaigns: filled in {step['fill_s']:.0f} s, "
            f"vacuum {step['vacuum_s']:.1f} s, {per['database'] / 1e6:.0f} MB; "
            f"{per['structure'] / step['structures']:.0f} B a structure, "
            f"{per['label'] / step['labels']:.0f} B a label"
        )
        for name, rate in step["rates_per_s"].items():
            print(f"  {name:28s} {rate:9.0f} a second")
    print(f"\n{'p50, ms':28s}" + "".join(f"{s['structures']:>11d}" for s in steps))
    for name in steps[-1]["queries_ms"]:
        times = "".join(f"{s['queries_ms'][name]:11.2f}" for s in steps)
        power = figures["exponents"].get(name)
        print(f"{name:28s}{times}" + (f"   ~ size^{power:.2f}" if power else ""))
    cost, commit = figures["packing_us"], figures["commit_ms"]
    print(
        f"\nhashing {cost['hashing']:.0f} µs, packing {cost['packing']:.0f} µs a "
        f"structure; one commit {commit:.2f} ms"
    )
    _show_claims(figures["claims"])
    _show_peers(figures["peers"])


def _show_claims(outcomes: list[dict[str, Any]]) -> None:
    print("\nclaimers limit  queue labels/s   claim p50, p95, p99 ms   finish p50, p99")
    for o in outcomes:
        notes = "" if o["by_choice"] else "  any of the theory"
        notes += "  old snapshot held" if o["old_snapshot"] else ""
        notes += f"  TWICE {o['handed_out_twice']}" if o["handed_out_twice"] else ""
        print(
            f"{o['claimers']:8d} {o['limit']:5d} {o['queue']:6d} "
            f"{o['labels_per_s']:8.0f}   {o['claim_p50_ms']:8.1f} "
            f"{o['claim_p95_ms']:8.1f} {o['claim_p99_ms']:8.1f} "
            f"{o['finish_p50_ms']:8.1f} {o['finish_p99_ms']:8.1f}{notes}"
        )


def _show_peers(rates: list[dict[str, Any]]) -> None:
    peer = Rate(**rates[-1])
    print(f"\n{'labelled structures':45s} written/s    read/s   beside {peer.name}")
    for rate in (Rate(**r) for r in rates):
        print(
            f"{rate.name:45s} {rate.written_per_s:9.0f} {rate.read_per_s:9.0f}   "
            f"{rate.written_per_s / peer.written_per_s:.2f}, "
            f"{rate.read_per_s / peer.read_per_s:.2f}"
        )


def main() -> None:
    """Print tables and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--structures", type=int, help="at the last step")
    parser.add_argument("--labels", type=int, help="at the last step, before claims")
    parser.add_argument("--explain", action="store_true", help="print every plan")
    arguments = parser.parse_args()
    size = resize(
        QUICK if arguments.quick else FULL, arguments.structures, arguments.labels
    )
    with tempfile.TemporaryDirectory() as folder:
        figures = rehearse(size, Path(folder), plans=arguments.explain)
    for name, plans in figures.pop("plans").items():
        print(f"\n--- {name}", *plans, sep="\n")
    show(figures)
    print(json.dumps(figures))


def resize(size: Size, structures: int | None, labels: int | None) -> Size:
    """Return the size with other numbers of structures and labels."""
    last = structures or size.steps[-1]
    steps = (*(n for n in size.steps if n < last), last)
    every = max(2, last // labels) if labels else size.every
    free = last - last // every
    queue = min(size.queue, free // (len(size.loads) + 2))
    return Size(steps, every, queue, size.peers, size.load_s, size.loads)


if __name__ == "__main__":
    main()
