"""The labelling process: claim one label, compute it, write it, until none is left.

Started by `tasks.label` (or by hand) as ``python -m tasks.label_worker``. It leads
its own session, holds one claim at a time and renews it while it computes, so a
killed worker costs the label that was running and nothing else.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from fire_core.config.theory import TheoryConfig
from fire_core.errors import LabellingError, LeaseLostError
from fire_core.labelling.makers import run_label
from fire_core.labelling.theory import theory_from_config
from fire_core.labelling.triage import classify
from fire_core.records import FailureKind, LabelState
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

POLL = 1.0  # s between two looks while other workers hold the rest
RING_AGAIN = 5.0  # s after which an alarm that was caught rings again


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What one labelling process was asked to do."""

    db: str
    blobs: str
    owner: str
    theory: TheoryConfig
    keys: list[str]
    workdir: Path
    lease: float
    max_attempts: int
    timeout: float


def work(options: WorkerOptions) -> int:
    """Label until every key is done or failed; return how many this process did."""
    fingerprint = theory_from_config(options.theory).fingerprint
    finished = 0
    with Store.open(options.db, options.blobs) as store:
        while True:
            claims = store.claim_labels(
                fingerprint,
                options.owner,
                limit=1,
                lease_s=options.lease,
                max_attempts=options.max_attempts,
                keys=options.keys,
            )
            if claims:
                _label_one(store, options, claims[0].label_id, claims[0].key)
                finished += 1
                continue
            counts = store.label_counts(fingerprint, options.keys)
            if not counts.get(LabelState.WANTED) and not counts.get(LabelState.CLAIMED):
                return finished
            time.sleep(POLL)


def _label_one(store: Store, options: WorkerOptions, label_id: int, key: str) -> None:
    """Compute one claimed label and write it, or its failure, if still the owner."""
    atoms = store.get_structures([key])[0]
    start = time.process_time(), time.monotonic()
    try:
        with _renewing(store, options, label_id), _alarm(options.timeout):
            label = run_label(options.theory, atoms, workdir=options.workdir)
    except LabellingError as error:
        spent = time.process_time() - start[0]
        try:
            store.fail_label(label_id, options.owner, classify(error), spent)
        except LeaseLostError:
            _say(key, "lost to another worker")
            return
        _say(key, f"failed: {error}")
        return
    spent = time.process_time() - start[0]
    try:
        store.finish_label(label_id, options.owner, label, core_seconds=spent)
    except LeaseLostError:
        _say(key, "lost to another worker")
        return
    _say(key, f"done in {time.monotonic() - start[1]:.1f} s")


@contextmanager
def _renewing(store: Store, options: WorkerOptions, label_id: int) -> Iterator[None]:
    """Renew the lease three times per lease while the block runs."""
    finished = threading.Event()

    def renew() -> None:
        while not finished.wait(options.lease / 3):
            try:
                store.renew_lease([label_id], options.owner, options.lease)
            except LeaseLostError:
                return

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


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


def _say(key: str, what: str) -> None:
    sys.stdout.write(f"label {key[:12]} {what}\n")
    sys.stdout.flush()


def main() -> int:
    """Read the options and work; the exit status is 0 when nothing is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("db", "blobs", "owner", "theory-json"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("keys-file", "workdir"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--lease", type=float, default=60.0)
    parser.add_argument("--max-attempts", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=600.0)
    arguments = parser.parse_args()
    work(
        WorkerOptions(
            db=arguments.db,
            blobs=arguments.blobs,
            owner=arguments.owner,
            theory=TypeAdapter(TheoryConfig).validate_json(arguments.theory_json),
            keys=json.loads(arguments.keys_file.read_text(encoding="utf-8")),
            workdir=arguments.workdir.resolve(),
            lease=arguments.lease,
            max_attempts=arguments.max_attempts,
            timeout=arguments.timeout,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
