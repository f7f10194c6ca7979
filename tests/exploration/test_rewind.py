"""A replica that breaks a limit is taken back, with new noise, and says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from fire_core.config.guards import GuardConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.errors import ConfigError, StructureError
from fire_core.exploration.batch import ReplicaBatch
from fire_core.exploration.committees import BatchedSpread
from fire_core.exploration.dynamics import (
    DriverWithUncertainty,
    run_segment,
    start_states,
    state_to_bytes,
)
from fire_core.exploration.guards import kinetic_temperature
from fire_core.exploration.parts import PartLimit
from fire_core.records import Breach, StopReason
from fire_core.uncertainty.committee import force_spread
from tests.models import load_mini
from tests.training.conftest import make_backbone

REWIND = GuardConfig(
    max_uncertainty=1.0, on_breach="rewind", max_rewinds=2, max_energy_rise=100.0
)


def settings(**options) -> DynamicsConfig:
    defaults = {
        "replicas": 3,
        "temperatures": (30.0,),
        "steps": 60,
        "segment": 30,
        "save_every": 5,
        "timestep": 4.0,
        "guards": REWIND,
    }
    return DynamicsConfig(**(defaults | options))


class Doubt:
    """Doubts some looks at some replicas; counts the looks."""

    def __init__(self, *doubted: tuple[int, int]) -> None:
        self.doubted = doubted
        self.looks: dict[int, int] = {}

    def __call__(self, batch):
        values = []
        for state in batch.states:
            look = self.looks.get(state.replica, 0)
            self.looks[state.replica] = look + 1
            values.append(5.0 if (state.replica, look) in self.doubted else 0.1)
        return np.array(values)


def go(argon, states, config, doubt, index=0):
    return run_segment(
        DriverWithUncertainty(argon, doubt),
        states,
        config,
        segment_index=index,
        seed=1,
        model_sha="m",
    )


def steps_of(result, replica: int) -> list[int]:
    return [f.tag.step for f in result.frames if f.tag.replica == replica]


def test_a_rewound_replica_takes_its_steps_again_and_ends_with_the_others(
    argon, crystal
):
    config = settings()
    states = start_states([crystal], config, seed=1)
    calm = go(argon, states, config, Doubt())
    taken = go(argon, states, config, Doubt((1, 3)))
    assert taken.breaches == (Breach(1, 20, StopReason.UNCERTAIN, 15),)
    assert taken.stopped == {}
    assert [(s.replica, s.step, s.rewinds) for s in taken.states] == [
        (0, 30, 0),
        (1, 30, 1),
        (2, 30, 0),
    ]
    assert [steps_of(taken, r) for r in range(3)] == [list(range(5, 31, 5))] * 3
    for before, after in zip(calm.frames, taken.frames, strict=True):
        same = np.allclose(before.atoms.positions, after.atoms.positions, atol=1e-9)
        assert same == (after.tag.replica != 1 or after.tag.step <= 15)


def test_each_rewind_brings_new_noise_and_the_last_breach_stops(argon, crystal):
    config = settings(replicas=2)
    states = start_states([crystal], config, seed=1)
    result = go(argon, states, config, Doubt((0, 1), (0, 2), (0, 3)))
    assert [(b.step, b.back_to) for b in result.breaches] == [
        (10, 5),
        (10, 5),
        (10, None),
    ]
    assert result.stopped == {0: StopReason.UNCERTAIN}
    assert steps_of(result, 0) == [5]  # what had passed is kept
    assert [s.replica for s in result.states] == [1]
    ends = []
    for doubted in [((0, 1),), ((0, 1), (0, 2))]:
        end = go(argon, states, config, Doubt(*doubted)).states[0]
        ends.append(end.positions)
    assert np.abs(ends[0] - ends[1]).max() > 1e-3


def test_new_momenta_have_the_targets_temperature_and_no_sum(argon):
    from ase.build import bulk

    from fire_core.exploration.moments import Snapshot
    from fire_core.exploration.monitor import ReplicaMonitor

    atoms = bulk("Ar", cubic=True).repeat(8)
    config = settings(replicas=1, temperatures=((100.0, 300.0),))
    state = replace(start_states([atoms], config, seed=1)[0], step=30)
    snapshot = Snapshot(state, np.zeros((len(atoms), 3)), np.zeros(3))
    ward = ReplicaMonitor(config, 1, 0, None)
    ward.trust([snapshot])
    again = ward._answer(snapshot, StopReason.TOO_HOT)
    assert again is not None
    assert again.state.momenta.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)
    found = kinetic_temperature(again.state.momenta, state.masses)
    spread = 200.0 * np.sqrt(2 / (3 * len(atoms)))
    assert found == pytest.approx(200.0, abs=4 * spread)


def test_rewinds_repeat_bit_for_bit_and_count_over_segments(argon, crystal):
    config = settings()
    ends = []
    for _ in range(2):
        states = start_states([crystal], config, seed=1)
        first = go(argon, states, config, Doubt((0, 0), (2, 4)))
        second = go(argon, first.states, config, Doubt((0, 2)), index=1)
        ends.append(state_to_bytes(second.states))
        assert [s.rewinds for s in second.states] == [2, 0, 1]
    assert ends[0] == ends[1]


def test_a_real_committee_judges_through_predict(argon_factory, crystal):
    """Two potentials agree near the crystal and part where atoms come close."""
    argon, other = argon_factory(), argon_factory()
    weak = other.model.__class__(single=False)

    def stiffer(state):
        output = weak(state)
        return output | {"forces": 1.5 * output["forces"]}

    stiffer.device, stiffer.dtype = weak.device, weak.dtype  # type: ignore[attr-defined]
    seen = []

    def spread(batch):
        forces = batch.predict(stiffer)["forces"]
        per_atom = (forces - batch.forces).norm(dim=1)
        worst = [
            float(per_atom[batch.owner == i].max()) for i in range(len(batch.states))
        ]
        expected = [
            0.5 * np.linalg.norm(s.forces, axis=1).max() for s in batch.snapshots()
        ]
        assert worst == pytest.approx(expected, rel=1e-9)
        seen.extend(worst)
        return np.array(worst)

    config = settings(steps=20, segment=20)
    go(argon, start_states([crystal], config, seed=1), config, spread)
    limit = float(np.quantile(seen, 0.8))
    guards = REWIND.model_copy(update={"max_uncertainty": limit})
    config = settings(steps=20, segment=20, guards=guards)
    result = go(argon, start_states([crystal], config, seed=1), config, spread)
    assert {b.reason for b in result.breaches} == {StopReason.UNCERTAIN}


def test_a_batchs_spread_is_that_of_the_members_predictions():
    """All replicas at once; and frame by frame, as scores of candidates are made."""
    mini, other = load_mini(), make_backbone(dtype="float64")
    salts = [bulk("LiCl", "rocksalt", a=a, cubic=True) for a in (5.0, 5.3)]
    states = start_states([*salts, bulk("LiCl", "rocksalt", a=5.1)], settings(), 1)
    batch = ReplicaBatch(mini.batched_model(), states, PartLimit(2, 0))
    batch.positions += 0.1 * batch.momenta.sin()
    batch.evaluate()
    frames = [
        Atoms(s.numbers, positions=s.positions, cell=s.cell, pbc=True)
        for s in batch.states
    ]
    expected = force_spread([mini.predict(frames), other.predict(frames)])
    found = BatchedSpread([other.batched_model()])(batch)
    assert [len(part) for part in found] == [len(frame) for frame in frames]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-9)
        assert theirs.max() > 1e-3


def test_a_threshold_without_a_judge_or_with_a_wrong_one_is_refused(argon, crystal):
    config = settings()
    states = start_states([crystal], config, seed=1)
    where = {"segment_index": 0, "seed": 1, "model_sha": "m"}
    with pytest.raises(ConfigError, match="nothing says how uncertain"):
        run_segment(argon, states, config, **where)
    with pytest.raises(StructureError, match="one uncertainty for each of 3"):
        go(argon, states, config, lambda _: np.zeros(2))
    result = go(argon, states, config, lambda batch: np.full(3, np.nan))
    assert set(result.stopped.values()) == {StopReason.UNCERTAIN}  # nan is doubt
