"""Each guard sees its own kind of nonsense and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from fire_core.config.guards import GuardConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.exploration.batch import ReplicaBatch
from fire_core.exploration.dynamics import start_states
from fire_core.exploration.guards import Guards, kinetic_temperature
from fire_core.exploration.moments import Snapshot
from fire_core.exploration.parts import PartLimit
from fire_core.records import StopReason
from fire_core.structures.contacts import is_too_close
from tests.exploration.conftest import Free


def _state(atoms: Atoms, temperature: float = 300.0):
    config = DynamicsConfig(replicas=1, temperatures=(temperature,))
    state = start_states([atoms], config, seed=3)[0]
    return replace(state, energy=-1.0, start_energy=-1.0)


def _too_close(atoms: Atoms, factor: float) -> bool:
    place = (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
    return is_too_close(*place, factor=factor)


@pytest.fixture
def salt() -> Atoms:
    return bulk("LiCl", "rocksalt", a=5.13, cubic=True)


def _judge_all(states, forces=None, **limits):
    """What the guards say of replicas in one batch; each with forces, or none."""
    forces = [np.zeros_like(s.positions) for s in states] if forces is None else forces
    snapshots = [
        Snapshot(state, force, np.zeros(3))
        for state, force in zip(states, forces, strict=True)
    ]
    batch = ReplicaBatch.of(Free(), snapshots, PartLimit(0, 0))
    return Guards(batch, GuardConfig(**limits), 100).judge(batch)


def _judge(state, forces=None, **limits):
    return _judge_all([state], None if forces is None else [forces], **limits)[0]


def test_a_thermal_crystal_passes(salt):
    assert _judge(_state(salt)) is None


def test_each_sign_of_nonsense_has_its_reason(salt):
    state = _state(salt)
    n = len(salt)
    near = state.positions.copy()
    near[1] = near[0] + [0.5, 0, 0]
    lost = state.positions.copy()
    lost[0, 2] += 10 * 5.13  # a lattice vector: no distance changes
    nan = np.full_like(state.positions, np.nan)
    swollen = state.cell * 2.05 ** (1 / 3)
    cases = {
        StopReason.TOO_CLOSE: replace(state, positions=near),
        StopReason.TOO_HOT: replace(state, momenta=state.momenta * 10),
        StopReason.LOST_ATOM: replace(state, positions=lost),
        StopReason.ENERGY_DRIFT: replace(state, energy=-1.0 + 2.1 * n),
        StopReason.NOT_FINITE: replace(state, momenta=nan),
        StopReason.VOLUME: replace(state, cell=swollen),
    }
    assert {reason: _judge(s) for reason, s in cases.items()} == {
        reason: reason for reason in cases
    }
    # beside each other, and beside one of another size that is well
    large = _state(salt.repeat((2, 1, 1)))
    assert _judge_all([*cases.values(), large]) == [*cases, None]
    assert _judge(state, forces=nan) is StopReason.NOT_FINITE
    assert _judge(replace(state, energy=np.nan)) is StopReason.NOT_FINITE
    # a judge outside the replica says the other one: test_rewind.py
    assert set(cases) == set(StopReason) - {StopReason.UNCERTAIN}


def test_energy_falling_too_far_is_drift_too(salt):
    state = _state(salt)
    assert _judge(replace(state, energy=-1.0 - 2.1 * 8)) is StopReason.ENERGY_DRIFT


def test_drift_of_the_whole_cell_loses_no_atom(salt):
    state = _state(salt)
    moved = state.positions + np.array([40.0, -3.0, 7.0])
    assert _judge(replace(state, positions=moved)) is None
    assert _judge(replace(state, positions=moved), max_displacement=1e-9) is None


def test_kinetic_temperature_of_a_drawn_maxwell_distribution():
    atoms = bulk("Ar", cubic=True).repeat(14)
    state = _state(atoms, 300.0)
    spread = 300.0 * np.sqrt(2 / (3 * len(atoms)))
    found = kinetic_temperature(state.momenta, state.masses)
    assert found == pytest.approx(300.0, abs=4 * spread)
    single = np.array([[np.sqrt(3 * units.kB * 500.0 * 2.0), 0, 0]])
    assert kinetic_temperature(single, np.array([2.0])) == pytest.approx(500.0)


@pytest.mark.parametrize("seed", range(12))
def test_too_close_agrees_with_ase_in_skewed_and_small_cells(seed):
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(1.6, 6.0, 3)) + rng.normal(0, 0.8, (3, 3))
    n = int(rng.integers(1, 7))
    atoms = Atoms(
        rng.choice(["Li", "Cl", "Ga", "F"], n),
        cell=cell,
        pbc=bool(seed % 3),
        scaled_positions=rng.uniform(-2, 3, (n, 3)),
    )
    radii = covalent_radii[atoms.numbers]
    i, j, d = neighbor_list("ijd", atoms, 6.0)
    nearest = np.min(d / (radii[i] + radii[j]), initial=np.inf)
    if not np.isfinite(nearest):
        assert not _too_close(atoms, 1.0)
        return
    for scale, overlap in ((1.001, True), (0.999, False)):
        assert _too_close(atoms, nearest * scale) == overlap
        reason = _judge(_state(atoms), min_distance_factor=nearest * scale)
        assert (reason is StopReason.TOO_CLOSE) == overlap


def test_too_close_looks_past_one_block_of_atoms():
    atoms = bulk("Ar", "fcc", a=5.26, cubic=True).repeat((5, 4, 4))
    assert not _too_close(atoms, 0.55)
    atoms.positions[-1] = atoms.positions[3] + [0.3, 0.3, 0]
    assert _too_close(atoms, 0.55)


def test_an_atom_that_comes_from_afar_is_seen_between_two_searches(salt):
    """Pairs are kept; one that moves in from beyond their skin is found in time."""
    atoms = salt.repeat((3, 1, 1))
    state = _state(atoms)
    batch = ReplicaBatch.of(
        Free(),
        [Snapshot(state, np.zeros_like(state.positions), np.zeros(3))],
        PartLimit(0, 0),
    )
    guards = Guards(batch, GuardConfig(), 100)
    target = atoms.positions[-1] + [0.6, 0.0, 0.0]
    way = target - atoms.positions[0]
    seen = []
    for part in np.linspace(0, 1, 40):
        batch.positions[0] = batch.origin[0] + part * batch.origin.new_tensor(way)
        moved = Atoms(atoms.numbers, batch.positions.numpy(), cell=atoms.cell, pbc=True)
        seen.append(guards.judge(batch)[0] is StopReason.TOO_CLOSE)
        assert seen[-1] == _too_close(moved, 0.55)
    assert any(seen)
    assert not all(seen)
