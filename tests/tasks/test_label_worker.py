"""The labelling process, raced and killed for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.config.theory import XtbTheory
from fire_core.labelling.theory import theory_from_config
from fire_core.records import FailureKind, LabelState
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from ase import Atoms

ROOT = Path(__file__).resolve().parents[2]
THEORY = XtbTheory()


def cells(n: int) -> list[Atoms]:
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(n):
        atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        frames.append(atoms)
    return frames


def want(folder: Path, frames: list[Atoms]) -> tuple[str, list[str]]:
    """Make a store in which labels of the frames are wanted."""
    theory = theory_from_config(THEORY)
    with open_store(folder) as store:
        store.theories.add(
            theory.fingerprint, theory.code, theory.version, theory.settings_json
        )
        keys = store.structures.add(frames, source="test")
        store.labels.want(keys, theory.fingerprint)
        store.campaigns.open("c", "{}")
        store.selections.save("c", 1, "selected", SelectionRow("test", keys))
    return theory.fingerprint, keys


def open_store(folder: Path) -> Store:
    return Store.open(f"sqlite:///{folder}/fire.db", folder / "blobs")


def start(folder: Path, owner: str, *extra: str) -> subprocess.Popen[str]:
    workdir = folder / owner
    workdir.mkdir(exist_ok=True)
    return subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", "fire_core.campaign.label_worker"),
            *("--db", f"sqlite:///{folder}/fire.db", "--blobs", f"{folder}/blobs"),
            *("--owner", owner, "--theory-json", THEORY.model_dump_json()),
            *("--theory-id", theory_from_config(THEORY).fingerprint),
            *("--campaign", "c", "--round", "1", "--purpose", "selected"),
            *("--workdir", str(workdir)),
            *("--lease", "3", *extra),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_workers_label_each_structure_once(tmp_path: Path) -> None:
    theory, keys = want(tmp_path, cells(6))
    workers = [start(tmp_path, owner) for owner in ("one", "two")]
    said = []
    for worker in workers:
        with worker:
            said.append(worker.communicate(timeout=120)[0])
        assert worker.returncode == 0
    with open_store(tmp_path) as store:
        rows = store.labels.rows(theory, keys)
        assert {row.state for row in rows} == {LabelState.DONE}
        assert [row.attempts for row in rows] == [1] * 6
        assert all(row.core_seconds > 0 for row in rows)
    assert sum(text.count("done in") for text in said) == 6


def test_a_killed_worker_costs_the_label_it_held_and_no_other(tmp_path: Path) -> None:
    slow = bulk("LiCl", "rocksalt", a=5.1, cubic=True) * (2, 2, 2)  # 3 s and more
    theory, keys = want(tmp_path, [*cells(2), slow])
    with start(tmp_path, "doomed") as worker:
        deadline = time.monotonic() + 120
        with open_store(tmp_path) as store:
            while not (
                store.labels.counts(theory).get(LabelState.DONE) == 2
                and store.labels.counts(theory).get(LabelState.CLAIMED) == 1
            ):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            os.kill(worker.pid, signal.SIGKILL)
            before = {row.key: row for row in store.labels.rows(theory)}
    with start(tmp_path, "heir") as worker:
        worker.communicate(timeout=120)
    with open_store(tmp_path) as store:
        after = {row.key: row for row in store.labels.rows(theory)}
    assert {row.state for row in after.values()} == {LabelState.DONE}
    for key in keys[:2]:
        assert after[key] == before[key]
    assert after[keys[2]].attempts == 2
    assert after[keys[2]].owner == "heir"


@pytest.mark.parametrize(
    ("broken", "kind"),
    [("element", FailureKind.UNKNOWN_ELEMENT), ("slow", FailureKind.TIMEOUT)],
)
def test_a_hopeless_structure_is_a_record_and_the_rest_goes_on(
    tmp_path: Path, broken: str, kind: FailureKind
) -> None:
    hopeless = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    if broken == "element":
        hopeless.symbols[0] = "Pu"
    else:
        hopeless = hopeless * (3, 2, 2)  # some 9 s
    theory, keys = want(tmp_path, [hopeless, *cells(1)])
    with start(tmp_path, "w", "--timeout", "4") as worker:
        worker.communicate(timeout=120)
    assert worker.returncode == 0
    with open_store(tmp_path) as store:
        first, second = store.labels.rows(theory, keys)
    assert (first.state, first.kind) == (LabelState.FAILED, kind)
    assert first.reason
    assert second.state is LabelState.DONE
