"""Killed in the middle of a segment, a run ends with the same bits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fire_core.storage.store import Store
from tests.events import wait_for

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
from pathlib import Path
from ase.build import bulk
from fire_core.config.ensemble import BarostatConfig
from fire_core.config.guards import GuardConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.exploration.dynamics import *
from fire_core.storage.store import Store
from tests.events import halt
from tests.exploration.conftest import Argon

folder, halts = sys.argv[1], bool(sys.argv[2:])
model = Argon(single=True)

guards = GuardConfig(max_uncertainty=UNEASY, on_breach="rewind", max_rewinds=4)
config = DynamicsConfig(
    temperatures=(20, (20, 60)), replicas=6, steps=90, segment=30, save_every=5,
    timestep=4.0, barostat=BarostatConfig(pressure=0.1, axes="each"), guards=guards,
)

def doubt(batch):
    if halts and batch.states[0].step == 45:
        halt(Path(folder), "middle")
    norms = batch.forces.norm(dim=1)
    return [float(norms[batch.owner == i].max()) for i in range(len(batch.states))]

store = Store.open(f"sqlite:///{folder}/fire.db", folder + "/blobs")
store.campaigns.open("c", "{}")
run = store.runs.open("c", 1, "explore", "m", config.model_dump_json())
crystal = bulk("Ar", "fcc", a=5.26, cubic=True)
cells = [crystal, crystal.repeat((2, 1, 1))]
last = store.runs.last_segment(run)
first = 0 if last is None else last.index + 1
states = bytes_to_state(last.state) if last else start_states(cells, config, 7)
for index in range(first, 3):
    done = run_segment(
        DriverWithUncertainty(model, doubt), states, config,
        segment_index=index, seed=7, model_sha="m",
    )
    states = done.states
    state = state_to_bytes(states)
    store.runs.save_segment(run, index, done.frames, state, done.breaches)
""".replace("UNEASY", "0.055")


def start(folder: Path, *halts: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(folder), *halts]
    return subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors.decode()[-2000:]


def test_killed_with_rewinds_and_a_barostat_it_ends_the_same(tmp_path: Path) -> None:
    finish(start(tmp_path / "whole"))
    with start(tmp_path / "killed", "halts") as killed:
        wait_for((tmp_path / "killed" / "middle").exists, killed)
        killed.kill()
    before = read(tmp_path / "killed")[0]
    assert len(before) == 1  # it was in the second segment
    finish(start(tmp_path / "killed"))
    segments, frames, structures = read(tmp_path / "whole")
    assert read(tmp_path / "killed") == (segments, frames, structures)
    breaches = [b for s in segments for b in s.breaches]
    assert any(b.back_to is not None and b.step > 30 for b in breaches)
    volumes = {round(v, 9) for v in structures.values()}
    assert len(volumes) == len(structures)  # every cell moved


def read(folder: Path) -> tuple:
    with Store.open(f"sqlite:///{folder}/fire.db", folder / "blobs") as store:
        run = store.runs.open("c", 1, "explore", "m", run_settings(store))
        frames = store.runs.frames(run)
        keys = [f.key for f in frames]
        atoms = store.structures.get(keys)
        volumes = {k: a.get_volume() for k, a in zip(keys, atoms, strict=True)}
        return store.runs.segments(run), frames, volumes


def run_settings(store: Store) -> str:
    from sqlalchemy import select

    from fire_core.storage.tables import RunTable

    with store.engine.connect() as connection:
        text = connection.execute(select(RunTable.config_json)).scalar_one()
    return str(text)
