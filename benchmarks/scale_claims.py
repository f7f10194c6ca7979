"""Claims under load: processes that claim and finish labels as fast as they can."""

from __future__ import annotations

import multiprocessing
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import create_engine, text

from benchmarks.scale_fill import LEASE, THEORIES
from fire_core.records import Label
from fire_core.storage.claims import Finished
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

    from fire_core.storage.selections import LabelScope

N_ATOMS = 124  # of every label that is written, the mean of the structures


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the queue at once.

    Attributes
    ----------
    claimers
        Processes, each with its own connection.
    limit
        Labels of one claim.
    seconds
        How long they go on.
    by_choice
        Whether only labels of one choice are claimed, as FIRE's workers do.
    """

    claimers: int
    limit: int
    seconds: float
    by_choice: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the claimers saw; latencies in ms, each of one call."""

    claimers: int
    limit: int
    by_choice: bool
    labels: int
    handed_out_twice: int
    lost: int
    labels_per_s: float
    claim_p50_ms: float
    claim_p95_ms: float
    claim_p99_ms: float
    finish_p50_ms: float
    finish_p99_ms: float


def run_load(url: str, blobs: Path, load: Load, choice: LabelScope) -> Outcome:
    """Run claimers for a while; the caller has no open connection.

    Every label they claim they finish, in one call for each claim.
    """
    context = multiprocessing.get_context("fork")  # 64 fresh interpreters take minutes
    barrier, results = context.Barrier(load.claimers), context.Queue()
    processes = [
        context.Process(
            target=_claimer,
            args=(f"claimer-{i}", (url, blobs), load, choice, (barrier, results)),
        )
        for i in range(load.claimers)
    ]
    for process in processes:
        process.start()
    told = [results.get(timeout=load.seconds + 300) for _ in processes]
    for process in processes:
        process.join()
    return _sum_up(load, told)


def _claimer(
    owner: str,
    where: tuple[str, Path],
    load: Load,
    choice: LabelScope,
    told: tuple[Barrier, Any],
) -> None:
    label = Label(-1.0, np.random.default_rng(0).normal(size=(N_ATOMS, 3)), np.ones(6))
    ids, claim_ms, finish_ms, lost = [], [], [], 0
    barrier, results = told
    with Store.open(*where) as store:
        barrier.wait(timeout=300)
        start = time.perf_counter()
        while time.perf_counter() - start < load.seconds:
            before = time.perf_counter()
            claims = store.labels.claim(
                THEORIES[0],
                owner,
                terms=LEASE,
                limit=load.limit,
                choice=choice if load.by_choice else None,
            )
            between = time.perf_counter()
            if not claims:
                break
            claim_ms.append(1e3 * (between - before))
            done = [Finished(c.label_id, label, 1.0) for c in claims]
            lost += len(store.labels.finish_many(done, owner))
            finish_ms.append(1e3 * (time.perf_counter() - between))
            ids += [c.label_id for c in claims]
        took = time.perf_counter() - start
    results.put((ids, claim_ms, finish_ms, lost, took))


def _sum_up(load: Load, told: list[Any]) -> Outcome:
    ids = [i for one in told for i in one[0]]
    claim = np.array([ms for one in told for ms in one[1]] or [np.nan])
    finish = np.array([ms for one in told for ms in one[2]] or [np.nan])
    return Outcome(
        load.claimers,
        load.limit,
        load.by_choice,
        labels=len(ids),
        handed_out_twice=len(ids) - len(set(ids)),
        lost=sum(one[3] for one in told),
        labels_per_s=len(ids) / max(one[4] for one in told),
        claim_p50_ms=float(np.percentile(claim, 50)),
        claim_p95_ms=float(np.percentile(claim, 95)),
        claim_p99_ms=float(np.percentile(claim, 99)),
        finish_p50_ms=float(np.percentile(finish, 50)),
        finish_p99_ms=float(np.percentile(finish, 99)),
    )


@contextmanager
def old_snapshot(url: str) -> Iterator[None]:
    """Keep a transaction open that sees the database as it is now, as a dump does.

    Rows that change meanwhile keep their old versions, in indexes, too.
    """
    engine = create_engine(url, isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        connection.execute(text("SELECT count(*) FROM theory"))
        yield
    engine.dispose()


def commit_ms(url: str, n: int) -> float:
    """Return the median time of a transaction that writes one row, ms."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS rehearsal (n integer)"))
    took = []
    for i in range(n):
        start = time.perf_counter()
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO rehearsal VALUES (:i)"), {"i": i})
        took.append(1e3 * (time.perf_counter() - start))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE rehearsal"))
    engine.dispose()
    return float(np.median(took))
