"""The labelling process: claim labels, compute them, write them, until none is left.

Started by `steps.labels` (or by hand) as
``python -m fire_core.campaign.steps.label_worker``. It leads its own session, so it
outlives a killed flow. It claims as many labels as take about `CLAIM_S` together,
renews its claims while it computes, and keeps a result until the database has it,
however long that is away. SIGTERM lets it finish the label that is running and give
the others back.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from fire_core.config.theory import TheoryConfig
from fire_core.errors import ConfigError, LabellingError, LeaseLostError
from fire_core.labelling.makers import check_ready, load_libraries, run_label
from fire_core.labelling.program import Machine
from fire_core.labelling.theory import theory_from_config
from fire_core.labelling.triage import classify
from fire_core.records import FailureKind, LabelState
from fire_core.storage.claims import ExpiredLeases, Finished, LeaseTerms
from fire_core.storage.selections import Choice
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from ase import Atoms

    from fire_core.storage.claims import Claim

POLL = 1.0  # s between two looks while other workers hold the rest
RING_AGAIN = 5.0  # s after which an alarm that was caught rings again
CLAIM_S: Final = 2.0  # of work claimed, and of results written, at once
MOST_CLAIMED: Final = 200
PATIENCE_S: Final = 24 * 3600.0  # a label is worth core-hours: wait for the database


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What one labelling process was asked to do.

    `most` is how many labels it computes before it ends (0: all there are); times
    are in seconds.
    """

    db: str
    blobs: str
    owner: str
    theory: TheoryConfig
    theory_id: str
    choice: Choice
    workdir: Path
    terms: LeaseTerms
    timeout: float
    machine: Machine
    most: int = 0


@dataclass(slots=True)
class Worker:
    """What a worker holds: claims that it renews, results that it has to write."""

    store: Store
    options: WorkerOptions
    held: set[int] = field(default_factory=set)
    finished: list[Finished] = field(default_factory=list)
    computed: int = 0
    seconds: float = 0.0
    stopping: bool = False

    def n_to_claim(self) -> int:
        """Return how many labels to claim, from the time that one took so far."""
        if not self.computed:
            return 1
        some = CLAIM_S / max(self.seconds / self.computed, 1e-6)
        left = self.options.most - self.computed if self.options.most else MOST_CLAIMED
        return max(1, min(int(some), MOST_CLAIMED, left))

    def write(self) -> None:
        """Write what is finished; what was lost to another worker is dropped."""
        if not self.finished:
            return
        lost = self.store.labels.finish_many(self.finished, self.options.owner)
        for label_id in lost:
            _say(f"label {label_id} was lost to another worker")
        self.held -= {item.label_id for item in self.finished}
        self.finished.clear()


def work(options: WorkerOptions) -> int:
    """Label until every key is done or failed; return how many this process did."""
    check_ready(options.theory)
    load_libraries(options.theory)
    fingerprint = _check_release(options)
    expired = ExpiredLeases(grace_s=options.terms.lease_s / 2)
    with Store.open(options.db, options.blobs, patience_s=PATIENCE_S) as store:
        worker = Worker(store, options)
        with _renewing(worker), _stopping(worker):
            while not worker.stopping and not 0 < options.most <= worker.computed:
                claims = store.labels.claim(
                    fingerprint,
                    options.owner,
                    terms=options.terms,
                    limit=worker.n_to_claim(),
                    choice=options.choice,
                    expired=expired,
                )
                if claims:
                    _label_all(worker, claims)
                    continue
                counts = store.labels.counts(fingerprint, options.choice)
                if not counts.keys() & {LabelState.WANTED, LabelState.CLAIMED}:
                    break
                time.sleep(POLL)
        return worker.computed


def _check_release(options: WorkerOptions) -> str:
    """Return the theory level to label at, once this machine computes just that."""
    here = theory_from_config(options.theory)
    if here.fingerprint != options.theory_id:
        msg = (
            f"the labels wanted are of theory level {options.theory_id}, but "
            f"{here.code} {here.version} of this machine is {here.fingerprint}; "
            "install the release that the campaign began with on every worker"
        )
        raise ConfigError(msg)
    return here.fingerprint


def _label_all(worker: Worker, claims: list[Claim]) -> None:
    """Compute claimed labels in turn; write slow ones singly, quick ones together."""
    worker.held |= {claim.label_id for claim in claims}
    frames = worker.store.structures.get([claim.key for claim in claims])
    wrote = time.monotonic()
    for number, (claim, atoms) in enumerate(zip(claims, frames, strict=True)):
        if worker.stopping:
            rest = [c.label_id for c in claims[number:]]
            worker.write()
            worker.store.labels.release(rest, worker.options.owner)
            worker.held -= set(rest)
            return
        _label_one(worker, claim, atoms)
        if time.monotonic() - wrote > CLAIM_S / 4:
            worker.write()
            wrote = time.monotonic()
    worker.write()


def _label_one(worker: Worker, claim: Claim, atoms: Atoms) -> None:
    """Compute one claimed label; a failure is written at once."""
    options = worker.options
    start = _cpu_seconds(), time.monotonic()
    try:
        with _alarm(options.timeout):
            label = run_label(
                options.theory,
                atoms,
                workdir=options.workdir,
                machine=options.machine,
            )
    except LabellingError as error:
        spent = _cpu_seconds() - start[0]
        worker.computed += 1
        _say(f"label {claim.key[:12]} failed: {error}")
        try:
            worker.store.labels.fail(
                claim.label_id, options.owner, classify(error), spent
            )
        except LeaseLostError:
            _say(f"label {claim.key[:12]} was lost to another worker")
        worker.held.discard(claim.label_id)
        return
    wall = time.monotonic() - start[1]
    worker.computed += 1
    worker.seconds += wall
    spent = _cpu_seconds() - start[0]
    worker.finished.append(Finished(claim.label_id, label, spent))
    _say(f"label {claim.key[:12]} done in {wall:.1f} s")


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the codes that it ran."""
    return sum(os.times()[:4])


@contextmanager
def _renewing(worker: Worker) -> Iterator[None]:
    """Renew the leases of what is held three times per lease while the block runs."""
    finished = threading.Event()
    lease_s = worker.options.terms.lease_s

    def renew() -> None:
        while not finished.wait(lease_s / 3):
            held = sorted(worker.held)
            if held:
                worker.store.labels.renew(held, worker.options.owner, lease_s)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join(timeout=lease_s)


@contextmanager
def _stopping(worker: Worker) -> Iterator[None]:
    """Let SIGTERM end the work after the label that is running."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        worker.stopping = True

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise a time-out in the main thread after `seconds`, again while it is ignored.

    The code that is running may catch the error or dress it up as one of its own;
    whatever comes out after the alarm is a time-out. A code that never returns to
    Python is not interrupted; its lease is renewed until the process is killed.
    """
    late = LabellingError(
        FailureKind.TIMEOUT,
        f"not finished after {seconds:g} s; raise label.timeout or label a "
        "smaller cell",
    )
    rung = False

    def ring(_signal: int, _frame: FrameType | None) -> None:
        nonlocal rung
        rung = True
        raise late

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, RING_AGAIN)
    try:
        yield
    except LabellingError as error:
        if rung:
            raise late from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main() -> int:
    """Read the options and work; the exit status is 0 when nothing is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("db", "blobs", "owner", "campaign", "purpose"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("theory-json", "theory-id"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--round", type=int, required=True)
    parser.add_argument("--first", type=int, default=None)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--lease", type=float, default=60.0)
    parser.add_argument("--max-attempts", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=600.0)
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--shelf", type=Path, default=None)
    given = parser.parse_args()
    work(
        WorkerOptions(
            db=given.db,
            blobs=given.blobs,
            owner=given.owner,
            theory=TypeAdapter(TheoryConfig).validate_json(given.theory_json),
            theory_id=given.theory_id,
            choice=Choice(given.campaign, given.round, given.purpose, given.first),
            workdir=given.workdir.resolve(),
            terms=LeaseTerms(given.lease, given.max_attempts),
            timeout=given.timeout,
            machine=Machine(given.cores, given.shelf),
            most=given.most,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
