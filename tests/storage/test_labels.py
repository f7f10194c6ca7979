"""Labels are computed once, whoever races, dies or comes late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fire_core.errors import LeaseLostError, StoreError
from fire_core.records import Failure, FailureKind, LabelState
from fire_core.storage.claims import ExpiredLeases, Finished, LeaseTerms
from fire_core.storage.selections import LabelScope, SelectionRow
from tests.storage.conftest import THEORY, make_frames, make_label

if TYPE_CHECKING:
    from fire_core.storage.claims import Claim
    from fire_core.storage.store import Store

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import sys, time
from fire_core.storage.claims import LeaseTerms
from fire_core.storage.store import Store
from tests.storage.conftest import THEORY, make_label
url, blobs, owner, pause = sys.argv[1:]
with Store.open(url, blobs) as store:
    while claims := store.labels.claim(
        THEORY, owner, limit=2, terms=LeaseTerms(30, 3)
    ):
        print("claimed", flush=True)
        time.sleep(float(pause))
        for claim in claims:
            atoms = store.structures.get([claim.key])[0]
            store.labels.finish(
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
    store: Store, owner: str, *, lease: float = 30.0, limit: int = 1, **how: Any
) -> list[Claim]:
    terms = LeaseTerms(lease, 3)
    return store.labels.claim(THEORY, owner, limit=limit, terms=terms, **how)


def test_racing_workers_finish_every_label_exactly_once(
    store: Store, url: str, tmp_path: Path
) -> None:
    keys = store.structures.add(make_frames(60), source="test")
    assert store.labels.want(keys, THEORY) == 60
    workers = [start_worker(url, tmp_path / "blobs", f"w{i}", 0.0) for i in range(3)]
    for worker in workers:
        with worker:
            worker.communicate(timeout=60)
        assert worker.returncode == 0
    rows = store.labels.rows(THEORY)
    assert {row.state for row in rows} == {LabelState.DONE}
    assert [row.attempts for row in rows] == [1] * 60
    assert {row.core_seconds for row in rows} == {1.0}


def test_labels_of_a_killed_worker_return_when_its_lease_ends(
    store: Store, url: str, tmp_path: Path
) -> None:
    keys = store.structures.add(make_frames(2), source="test")
    store.labels.want(keys, THEORY)
    with start_worker(url, tmp_path / "blobs", "doomed", 60.0) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "claimed\n"
        os.kill(worker.pid, signal.SIGKILL)
    assert claim(store, "heir") == []  # the lease still runs
    for row in store.labels.rows(THEORY):
        assert row.owner == "doomed"
    ids = [1, 2]
    assert store.labels.renew(ids, "doomed", -1.0) == []  # let it run out now
    claims = claim(store, "heir", limit=5)
    assert [c.attempt for c in claims] == [2, 2]


def test_only_the_owner_may_finish_fail_or_renew(store: Store) -> None:
    atoms = make_frames(1)[0]
    key = store.structures.add([atoms], source="test")[0]
    store.labels.want([key], THEORY)
    (first,) = claim(store, "slow", lease=-1.0)
    (second,) = claim(store, "quick")
    assert second.label_id == first.label_id
    for late in (
        lambda: store.labels.finish(
            first.label_id, "slow", make_label(atoms), core_seconds=1
        ),
        lambda: store.labels.fail(
            first.label_id, "slow", Failure(FailureKind.CRASHED, "late"), 1
        ),
    ):
        with pytest.raises(LeaseLostError, match="owned by quick, no longer by slow"):
            late()
    assert store.labels.renew([first.label_id], "slow", 30) == [first.label_id]
    store.labels.finish(second.label_id, "quick", make_label(atoms), core_seconds=1)
    assert store.labels.counts(THEORY) == {LabelState.DONE: 1}


def test_a_finished_label_is_immutable(store: Store) -> None:
    atoms = make_frames(1)[0]
    key = store.structures.add([atoms], source="test")[0]
    store.labels.want([key], THEORY)
    (mine,) = claim(store, "w")
    store.labels.finish(mine.label_id, "w", make_label(atoms, 1), core_seconds=1)
    with pytest.raises(LeaseLostError):
        store.labels.finish(mine.label_id, "w", make_label(atoms, 2), core_seconds=1)
    with pytest.raises(LeaseLostError):
        store.labels.fail(mine.label_id, "w", Failure(FailureKind.CRASHED, "x"), 1)
    assert store.labels.add({key: make_label(atoms, 3)}, THEORY) == ([], [key])
    assert store.labels.want([key], THEORY) == 0
    assert store.labels.get([key], THEORY)[key].energy == -11.0


def test_a_label_that_kills_its_worker_is_given_up(store: Store) -> None:
    keys = store.structures.add(make_frames(2), source="test")
    store.labels.want(keys[:1], THEORY)
    for _ in range(3):
        assert claim(store, "w", lease=-1.0)
    store.labels.want(keys, THEORY)
    left = [c.key for c in claim(store, "w", limit=5)]
    assert left == keys[1:]  # the first was claimed three times without an end
    rows = {row.key: row for row in store.labels.rows(THEORY)}
    assert rows[keys[0]].kind == FailureKind.TOO_MANY_ATTEMPTS
    assert "claimed 3 times" in str(rows[keys[0]].reason)


def test_failures_keep_their_reason_and_can_be_retried_by_cause(store: Store) -> None:
    keys = store.structures.add(make_frames(2), source="test")
    store.labels.want(keys, THEORY)
    kinds = (FailureKind.NOT_CONVERGED, FailureKind.TIMEOUT)
    for kind in kinds:
        (mine,) = claim(store, "w")
        store.labels.fail(mine.label_id, "w", Failure(kind, "why", "log"), 2.0)
    assert [(r.kind, r.reason, r.log_tail) for r in store.labels.rows(THEORY)] == [
        (kind, "why", "log") for kind in kinds
    ]
    assert store.labels.retry(THEORY, FailureKind.TIMEOUT) == 1
    assert [c.key for c in claim(store, "w", limit=5)] == keys[1:]


def test_claims_keep_to_a_choice_or_its_first_structures(store: Store) -> None:
    keys = store.structures.add(make_frames(5), source="test")
    store.labels.want(keys, THEORY)
    store.campaigns.open("c", "{}")
    store.selections.save("c", 1, "selected", SelectionRow("kmeans", keys[:1:-1]))
    first = LabelScope("c", 1, "selected", first=2)
    assert [c.key for c in claim(store, "w", limit=9, choice=first)] == keys[3:]
    whole = LabelScope("c", 1, "selected")
    assert [c.key for c in claim(store, "w", limit=9, choice=whole)] == [keys[2]]
    assert store.labels.counts(THEORY, whole) == {LabelState.CLAIMED: 3}


def test_an_expired_claim_is_taken_only_from_a_silent_owner(store: Store) -> None:
    keys = store.structures.add(make_frames(2), source="test")
    store.labels.want(keys, THEORY)
    owned = claim(store, "owner", lease=-1.0, limit=2)  # as after an outage
    expired = ExpiredLeases(grace_s=0.2)
    assert claim(store, "heir", limit=2, expired=expired) == []
    store.labels.renew([owned[0].label_id], "owner", -0.5)  # it is alive, but late
    time.sleep(0.25)
    taken = claim(store, "heir", limit=2, expired=expired)
    assert [c.key for c in taken] == keys[1:]


def test_claims_that_were_not_begun_go_back_unspent(store: Store) -> None:
    keys = store.structures.add(make_frames(2), source="test")
    store.labels.want(keys, THEORY)
    held = claim(store, "w", limit=2)
    assert store.labels.release([held[1].label_id], "somebody else") == 0
    assert store.labels.release([held[1].label_id], "w") == 1
    assert [(c.key, c.attempt) for c in claim(store, "x")] == [(keys[1], 1)]


def test_a_write_repeated_after_a_lost_answer_is_no_loss(store: Store) -> None:
    atoms = make_frames(1)[0]
    store.labels.want(store.structures.add([atoms], source="test"), THEORY)
    (mine,) = claim(store, "w")
    done = [Finished(mine.label_id, make_label(atoms, 1), 2.0)]
    assert store.labels.finish_many(done, "w") == []
    assert store.labels.finish_many(done, "w") == []
    assert [row.core_seconds for row in store.labels.rows(THEORY)] == [2.0]
    assert store.labels.finish_many(done, "x") == [mine.label_id]


def test_the_clock_of_a_worker_does_not_move_a_lease(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.engine.dialect.name == "sqlite":
        pytest.skip("a SQLite database is used from one machine, with one clock")
    keys = store.structures.add(make_frames(1), source="test")
    store.labels.want(keys, THEORY)
    assert claim(store, "owner", lease=60.0)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600.0)
    assert claim(store, "hasty") == []


def test_labels_come_back_bit_for_bit_in_the_order_asked_for(store: Store) -> None:
    frames = make_frames(3)
    keys = store.structures.add(frames, source="test")
    labels = {
        k: make_label(a, i) for i, (k, a) in enumerate(zip(keys, frames, strict=True))
    }
    labels[keys[0]].forces[0] = [5e-324, -0.0, 1e300]
    store.labels.add(labels, THEORY)
    for item in store.labels.labelled(keys[::-1], THEORY):
        label = labels[item.key]
        assert item.label.energy == label.energy
        assert item.label.forces.tobytes() == label.forces.tobytes()
        assert item.label.stress is not None
        assert label.stress is not None
        assert item.label.stress.tobytes() == label.stress.tobytes()
    assert [i.key for i in store.labels.labelled(keys[::-1], THEORY)] == keys[::-1]


def test_an_unknown_label_is_an_error(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no label 77"):
        store.labels.fail(77, "w", Failure(FailureKind.CRASHED, "why"), 1.0)
    assert store.labels.renew([77], "w", 1.0) == [77]
