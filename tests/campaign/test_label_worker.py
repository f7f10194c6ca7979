"""The labelling process, raced and killed for real, whatever a label takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.config.theory import LennardJonesTheory, TheoryConfig, XtbTheory
from fire_core.labelling.theory import theory_from_config
from fire_core.records import FailureKind, LabelState
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from tests.events import let_go, wait_for

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.storage.label_queries import LabelRow

ROOT = Path(__file__).resolve().parents[2]
LJ = LennardJonesTheory()
"""Its labels take no time at all."""
AT_ONCE = 1e6
"""Seconds of work to claim: whatever there is, after a first label."""
ONE_BY_ONE = 0.0


def cells(n: int) -> list[Atoms]:
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(n):
        atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        frames.append(atoms)
    return frames


def want(
    folder: Path, frames: list[Atoms], config: TheoryConfig = LJ
) -> tuple[str, list[str]]:
    """Make a store in which labels of the frames are wanted."""
    theory = theory_from_config(config)
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


def start(
    folder: Path,
    owner: str,
    *extra: str,
    theory: TheoryConfig = LJ,
    claimed_s: float | None = None,
    lease_s: float = 120.0,
) -> subprocess.Popen[str]:
    """Start a worker; with `claimed_s` one that halts in its folder at each label."""
    workdir = folder / owner
    workdir.mkdir(exist_ok=True)
    program = ["fire_core.campaign.steps.label_worker"]
    if claimed_s is not None:
        program = ["tests.campaign.halting_worker", str(workdir), str(claimed_s)]
    return subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", *program),
            *("--db", f"sqlite:///{folder}/fire.db", "--blobs", f"{folder}/blobs"),
            *("--owner", owner, "--theory-json", theory.model_dump_json()),
            *("--theory-id", theory_from_config(theory).fingerprint),
            *("--campaign", "c", "--round", "1", "--purpose", "selected"),
            *("--workdir", str(workdir), "--lease", str(lease_s), *extra),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("config", [LJ, XtbTheory()], ids=lambda c: c.kind)
def test_two_workers_label_each_structure_once(
    tmp_path: Path, config: TheoryConfig
) -> None:
    theory, keys = want(tmp_path, cells(6), config)
    owners = ("one", "two")
    workers = [start(tmp_path, o, theory=config, claimed_s=2.0) for o in owners]
    for owner, worker in zip(owners, workers, strict=True):  # both hold one now
        wait_for((tmp_path / owner / "label-1").exists, worker)
    for owner in owners:
        for number in range(1, 7):
            let_go(tmp_path / owner, f"label-{number}")
    said = []
    for worker in workers:
        with worker:
            said.append(worker.communicate(timeout=240)[0])
        assert worker.returncode == 0
    with open_store(tmp_path) as store:
        rows = store.labels.rows(theory, keys)
        assert {row.state for row in rows} == {LabelState.DONE}
        assert {row.owner for row in rows} == set(owners)
        assert [row.attempts for row in rows] == [1] * 6
        assert config == LJ or all(row.core_seconds > 0 for row in rows)
    assert sum(text.count("done in") for text in said) == 6


@pytest.mark.parametrize(
    ("claimed_s", "written", "held"), [(ONE_BY_ONE, 2, 1), (AT_ONCE, 1, 4)]
)
def test_a_killed_worker_costs_the_labels_it_held_and_no_other(
    tmp_path: Path, claimed_s: float, written: int, held: int
) -> None:
    """One that claims several quick labels at once writes them together, too."""
    theory, keys = want(tmp_path, cells(5))
    with start(tmp_path, "doomed", claimed_s=claimed_s) as worker:
        for number in (1, 2):
            let_go(tmp_path / "doomed", f"label-{number}")
        wait_for((tmp_path / "doomed" / "label-3").exists, worker)
        worker.kill()
    with open_store(tmp_path) as store:
        before = {row.key: row for row in store.labels.rows(theory)}
        # Its leases run out, as they would in two minutes.
        store.labels.renew(range(1, len(keys) + 1), "doomed", -1.0)
    done = [k for k in keys if before[k].state is LabelState.DONE]
    lost = [k for k in keys if before[k].state is LabelState.CLAIMED]
    assert (len(done), len(lost)) == (written, held)
    with start(tmp_path, "heir", lease_s=1.0) as worker:
        worker.communicate(timeout=240)
    with open_store(tmp_path) as store:
        after = {row.key: row for row in store.labels.rows(theory)}
    assert {row.state for row in after.values()} == {LabelState.DONE}
    for key in keys:
        assert after[key].attempts == (2 if key in lost else 1)
        if key in done:
            assert after[key] == before[key]
        else:
            assert after[key].owner == "heir"


def finish_beside(
    tmp_path: Path, hopeless: Atoms, *extra: str, config: TheoryConfig = LJ
) -> tuple[LabelRow, ...]:
    """Label one structure that cannot be labelled, and another; return their rows."""
    theory, keys = want(tmp_path, [hopeless, *cells(1)], config)
    let_go(tmp_path, "label-2")
    with start(tmp_path, ".", *extra, theory=config, claimed_s=ONE_BY_ONE) as worker:
        worker.communicate(timeout=240)
    assert worker.returncode == 0
    with open_store(tmp_path) as store:
        return tuple(store.labels.rows(theory, keys))


def test_an_unknown_element_is_a_record_and_the_rest_goes_on(tmp_path: Path) -> None:
    strange = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
    strange.symbols[0] = "Pu"
    let_go(tmp_path, "label-1")
    first, second = finish_beside(tmp_path, strange, config=XtbTheory())
    assert (first.state, first.kind) == (LabelState.FAILED, FailureKind.UNKNOWN_ELEMENT)
    assert first.reason
    assert second.state is LabelState.DONE


def test_what_never_ends_is_a_record_and_the_rest_goes_on(tmp_path: Path) -> None:
    """The first label is never let go; the second has its whole time limit."""
    first, second = finish_beside(tmp_path, cells(2)[1], "--timeout", "3")
    assert (first.state, first.kind) == (LabelState.FAILED, FailureKind.TIMEOUT)
    assert first.reason
    assert second.state is LabelState.DONE
