"""Labels are computed once, whoever races, dies or comes late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fire_core.errors import LeaseLostError, StoreError
from fire_core.records import Failure, FailureKind, LabelState
from tests.storage.conftest import THEORY, make_frames, make_label

if TYPE_CHECKING:
    from fire_core.storage.labels import Claim
    from fire_core.storage.store import Store

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import sys, time
from fire_core.storage.store import Store
from tests.storage.conftest import THEORY, make_label
url, blobs, owner, pause = sys.argv[1:]
with Store.open(url, blobs) as store:
    while claims := store.claim_labels(
        THEORY, owner, limit=2, lease_s=30, max_attempts=3
    ):
        print("claimed", flush=True)
        time.sleep(float(pause))
        for claim in claims:
            atoms = store.get_structures([claim.key])[0]
            store.finish_label(
                claim.label_id, owner, make_label(atoms), core_seconds=1.0)
"""


def start_worker(
    url: str, blobs: Path, owner: str, pause: float
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            WORKER,
            url,
            str(blobs),
            owner,
            str(pause),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def claim(
    store: Store, owner: str, *, lease: float = 30.0, limit: int = 1
) -> list[Claim]:
    return store.claim_labels(THEORY, owner, limit=limit, lease_s=lease, max_attempts=3)


def test_racing_workers_finish_every_label_exactly_once(
    store: Store, url: str, tmp_path: Path
) -> None:
    keys = store.add_structures(make_frames(60), source="test")
    assert store.want_labels(keys, THEORY) == 60
    workers = [start_worker(url, tmp_path / "blobs", f"w{i}", 0.0) for i in range(3)]
    for worker in workers:
        with worker:
            worker.communicate(timeout=60)
        assert worker.returncode == 0
    rows = store.label_rows(THEORY)
    assert {row.state for row in rows} == {LabelState.DONE}
    assert [row.attempts for row in rows] == [1] * 60
    assert {row.core_seconds for row in rows} == {1.0}


def test_labels_of_a_killed_worker_return_when_its_lease_ends(
    store: Store, url: str, tmp_path: Path
) -> None:
    keys = store.add_structures(make_frames(2), source="test")
    store.want_labels(keys, THEORY)
    with start_worker(url, tmp_path / "blobs", "doomed", 60.0) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "claimed\n"
        os.kill(worker.pid, signal.SIGKILL)
    assert claim(store, "heir") == []  # the lease still runs
    for row in store.label_rows(THEORY):
        assert row.owner == "doomed"
    store.renew_lease([1, 2], "doomed", -1.0)  # let it run out now
    claims = claim(store, "heir", limit=5)
    assert [c.attempt for c in claims] == [2, 2]


def test_only_the_owner_may_finish_fail_or_renew(store: Store) -> None:
    atoms = make_frames(1)[0]
    key = store.add_structures([atoms], source="test")[0]
    store.want_labels([key], THEORY)
    (first,) = claim(store, "slow", lease=-1.0)
    (second,) = claim(store, "quick")
    assert second.label_id == first.label_id
    for late in (
        lambda: store.finish_label(
            first.label_id, "slow", make_label(atoms), core_seconds=1
        ),
        lambda: store.fail_label(
            first.label_id, "slow", Failure(FailureKind.CRASHED, "late"), 1
        ),
        lambda: store.renew_lease([first.label_id], "slow", 30),
    ):
        with pytest.raises(LeaseLostError, match="owned by quick, no longer by slow"):
            late()
    store.finish_label(second.label_id, "quick", make_label(atoms), core_seconds=1)
    assert store.label_counts(THEORY) == {LabelState.DONE: 1}


def test_a_finished_label_is_immutable(store: Store) -> None:
    atoms = make_frames(1)[0]
    key = store.add_structures([atoms], source="test")[0]
    store.want_labels([key], THEORY)
    (mine,) = claim(store, "w")
    store.finish_label(mine.label_id, "w", make_label(atoms, 1), core_seconds=1)
    with pytest.raises(LeaseLostError):
        store.finish_label(mine.label_id, "w", make_label(atoms, 2), core_seconds=1)
    with pytest.raises(LeaseLostError):
        store.fail_label(mine.label_id, "w", Failure(FailureKind.CRASHED, "x"), 1)
    assert store.add_labels({key: make_label(atoms, 3)}, THEORY) == ([], [key])
    assert store.want_labels([key], THEORY) == 0
    assert store.get_labels([key], THEORY)[key].energy == -11.0


def test_a_label_that_kills_its_worker_is_given_up(store: Store) -> None:
    keys = store.add_structures(make_frames(2), source="test")
    store.want_labels(keys, THEORY)
    for _ in range(3):
        assert claim(store, "w", lease=-1.0)
    left = [c.key for c in claim(store, "w", limit=5)]
    assert left == keys[1:]  # the first was claimed three times without an end
    rows = {row.key: row for row in store.label_rows(THEORY)}
    assert rows[keys[0]].kind == FailureKind.TOO_MANY_ATTEMPTS
    assert "claimed 3 times" in str(rows[keys[0]].reason)


def test_failures_keep_their_reason_and_can_be_retried_by_cause(store: Store) -> None:
    keys = store.add_structures(make_frames(2), source="test")
    store.want_labels(keys, THEORY)
    kinds = (FailureKind.NOT_CONVERGED, FailureKind.TIMEOUT)
    for kind in kinds:
        (mine,) = claim(store, "w")
        store.fail_label(mine.label_id, "w", Failure(kind, "why", "log"), 2.0)
    assert [(r.kind, r.reason, r.log_tail) for r in store.label_rows(THEORY)] == [
        (kind, "why", "log") for kind in kinds
    ]
    assert store.retry_labels(THEORY, FailureKind.TIMEOUT) == 1
    assert [c.key for c in claim(store, "w", limit=5)] == keys[1:]


def test_claims_keep_to_the_given_structures(store: Store) -> None:
    keys = store.add_structures(make_frames(4), source="test")
    store.want_labels(keys, THEORY)
    claims = store.claim_labels(
        THEORY, "w", limit=9, lease_s=9, max_attempts=3, keys=keys[2:]
    )
    assert [c.key for c in claims] == keys[2:]


def test_labels_come_back_bit_for_bit_in_the_order_asked_for(store: Store) -> None:
    frames = make_frames(3)
    keys = store.add_structures(frames, source="test")
    labels = {
        k: make_label(a, i) for i, (k, a) in enumerate(zip(keys, frames, strict=True))
    }
    labels[keys[0]].forces[0] = [5e-324, -0.0, 1e300]
    store.add_labels(labels, THEORY)
    for item in store.get_labelled(keys[::-1], THEORY):
        label = labels[item.key]
        assert item.label.energy == label.energy
        assert item.label.forces.tobytes() == label.forces.tobytes()
        assert item.label.stress is not None
        assert label.stress is not None
        assert item.label.stress.tobytes() == label.stress.tobytes()
    assert [i.key for i in store.get_labelled(keys[::-1], THEORY)] == keys[::-1]


def test_an_unknown_label_is_an_error(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no label 77"):
        store.renew_lease([77], "w", 1.0)
