"""The batched Langevin dynamics samples the right ensemble and repeats exactly."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from ase import units
from ase.build import bulk

from fire_core.config.guards import GuardConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.errors import StructureError, UnknownElementError
from fire_core.exploration.dynamics import (
    bytes_to_state,
    run_segment,
    start_states,
    state_to_bytes,
)
from fire_core.exploration.guards import kinetic_temperature
from fire_core.records import StopReason

FREE = GuardConfig(max_temperature_factor=100.0, max_energy_rise=100.0)


def _config(**options):
    defaults = {
        "replicas": 4,
        "temperatures": (20.0, 40.0),
        "steps": 60,
        "segment": 20,
        "save_every": 5,
    }
    return DynamicsConfig(**(defaults | options))


def _run(backbone, states, config, seed=1):
    frames, stopped, index = [], {}, 0
    while states and states[0].step < config.steps:
        result = run_segment(
            backbone, states, config, segment_index=index, seed=seed, model_sha="m"
        )
        states, index = result.states, index + 1
        frames += result.frames
        stopped |= result.stopped
    return states, frames, stopped


def test_start_covers_temperatures_then_structures_without_net_momentum(crystal):
    other = crystal.copy()
    other.rattle(0.05, seed=1)
    states = start_states([crystal, other], _config(replicas=6), seed=1)
    assert [s.temperature for s in states] == [20, 40, 20, 40, 20, 40]
    same = [np.array_equal(s.positions, crystal.positions) for s in states]
    assert same == [True, True, False, False, True, True]
    for state in states:
        assert state.momenta.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    assert not np.array_equal(states[0].momenta, states[4].momenta)


def test_harmonic_wells_reach_the_thermostat_in_both_halves_of_phase_space(
    trap_factory,
):
    """⟨x²⟩ = k_B T / k (equipartition) and ⟨p²/m⟩ = k_B T, each within 4 σ."""
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True).repeat((2, 1, 1))
    stiffness = 2.0  # eV/Å²: Li oscillates with a period of about 39 fs
    config = _config(
        replicas=12,
        temperatures=(300.0, 900.0),
        steps=2400,
        segment=2400,
        save_every=10,
        equilibration=400,
        friction=0.05,
        guards=FREE,
    )
    trap = trap_factory(atoms.positions, stiffness)
    states = start_states([atoms], config, seed=5)
    final, frames, stopped = _run(trap, states, config)
    assert not stopped
    for temperature in config.temperatures:
        moved = np.array(
            [
                f.atoms.positions - atoms.positions
                for f in frames
                if f.tag.temperature == temperature
            ]
        )
        light = moved[:, atoms.numbers == 3]
        expected = units.kB * temperature / stiffness
        for group in (light, moved):
            # frames 20 fs apart: about one in six is independent at this friction
            sigma = expected * np.sqrt(2 / (group.size / 6))
            assert np.mean(group**2) == pytest.approx(expected, abs=4 * sigma)
        kinetic = [
            kinetic_temperature(s.momenta, s.masses)
            for s in final
            if s.temperature == temperature
        ]
        sigma = temperature * np.sqrt(2 / (3 * len(atoms) * len(kinetic)))
        assert np.mean(kinetic) == pytest.approx(temperature, abs=4 * sigma)


def test_without_friction_total_energy_is_conserved(trap_factory):
    """Verlet's energy error in a well of frequency w is of order (w dt)² / 8."""
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    config = _config(
        replicas=1, friction=1e-12, timestep=0.5, steps=500, segment=250, guards=FREE
    )
    states = start_states([atoms], config, seed=2)
    after, _, _ = _run(trap_factory(atoms.positions, 2.0), states, config)
    kinetic = [
        1.5 * units.kB * kinetic_temperature(s.momenta, s.masses)
        for s in (states[0], after[0])
    ]
    potential = after[0].energy / len(atoms)
    assert after[0].start_energy == 0.0
    assert potential > 0.2 * kinetic[0]  # energy has gone back and forth
    assert kinetic[1] + potential == pytest.approx(kinetic[0], rel=2e-3)


def test_a_segment_repeats_bit_for_bit_also_from_its_bytes(argon_factory, crystal):
    config = _config()
    argon = argon_factory(single=True)
    states = start_states([crystal], config, seed=1)
    first = run_segment(argon, states, config, segment_index=0, seed=1, model_sha="m")
    again = bytes_to_state(state_to_bytes(first.states))
    runs = [
        run_segment(argon_factory(single=True), s, config, segment_index=1, **kind)
        for s in (first.states, again)
        for kind in [{"seed": 1, "model_sha": "m"}]
    ]
    assert state_to_bytes(runs[0].states) == state_to_bytes(runs[1].states)
    for a, b in zip(runs[0].frames, runs[1].frames, strict=True):
        assert np.array_equal(a.atoms.positions, b.atoms.positions)
        assert (a.energy, a.tag) == (b.energy, b.tag)


def test_segments_and_seeds_bring_new_noise(argon, crystal):
    config = _config(replicas=1)
    states = start_states([crystal], config, seed=1)
    ends = {
        state_to_bytes(
            run_segment(
                argon, states, config, segment_index=i, seed=s, model_sha="m"
            ).states
        )
        for i, s in [(0, 1), (1, 1), (0, 2)]
    }
    assert len(ends) == 3


def test_frames_are_tagged_ordered_and_complete(argon, crystal):
    config = _config(equilibration=20)
    _, frames, stopped = _run(argon, start_states([crystal], config, seed=1), config)
    assert not stopped
    by_replica = [[f.tag.step for f in frames if f.tag.replica == r] for r in range(4)]
    assert by_replica == [list(range(20, 61, 5))] * 4
    assert {(f.tag.replica, f.tag.temperature) for f in frames} == {
        (0, 20.0),
        (1, 40.0),
        (2, 20.0),
        (3, 40.0),
    }
    assert all(f.tag.model == "m" and f.atoms.calc is None for f in frames)


def test_a_frames_energy_belongs_to_its_positions(argon, crystal):
    from ase.calculators.lj import LennardJones

    config = _config()
    _, frames, _ = _run(argon, start_states([crystal], config, seed=1), config)
    atoms = frames[-1].atoms.copy()
    rc = argon.model.cutoff
    atoms.calc = LennardJones(sigma=3.405, epsilon=0.01032, rc=rc, smooth=False)
    # ASE shifts each pair by its energy at the cutoff; the test's model does not
    shift = 4 * 0.01032 * ((3.405 / rc) ** 12 - (3.405 / rc) ** 6)
    from ase.neighborlist import neighbor_list

    pairs = len(neighbor_list("i", atoms, rc)) / 2
    expected = atoms.get_potential_energy() + pairs * shift
    assert frames[-1].energy == pytest.approx(expected, rel=1e-9)


def test_an_exploding_replica_leaves_and_the_others_do_not_notice(argon, crystal):
    config = _config(guards=GuardConfig(max_temperature_factor=20.0))
    states = start_states([crystal], config, seed=1)
    near = states[1].positions.copy()
    near[1] = near[0] + [0.4, 0.0, 0.0]  # r^-13 sends it beyond any number
    wild = [states[0], replace(states[1], positions=near), *states[2:]]
    after, frames, stopped = _run(argon, wild, config)
    calm, _, _ = _run(argon, [states[0], *states[2:]], config)
    assert set(stopped) == {1}
    assert stopped[1] in {StopReason.NOT_FINITE, StopReason.TOO_CLOSE}
    assert not [f for f in frames if f.tag.replica == 1]
    assert [s.replica for s in after] == [0, 2, 3]
    for a, b in zip(after, calm, strict=True):
        assert a.positions == pytest.approx(b.positions, abs=1e-9)


def test_when_every_replica_stops_the_segment_ends(argon, crystal):
    config = _config(guards=GuardConfig(max_temperature_factor=0.01))
    states = start_states([crystal], config, seed=1)
    result = run_segment(argon, states, config, segment_index=0, seed=1, model_sha="m")
    assert (result.states, result.frames) == ([], [])
    assert set(result.stopped.values()) == {StopReason.TOO_HOT}
    assert bytes_to_state(state_to_bytes(result.states)) == []


def test_positions_are_not_folded_into_the_cell(argon, crystal):
    crystal.positions += [-7.0, 20.0, 3.0]
    config = _config()
    _, frames, _ = _run(argon, start_states([crystal], config, seed=1), config)
    moved = frames[-1].atoms.positions - crystal.positions
    assert np.abs(moved).max() < 1.0


def test_the_caller_keeps_its_states_and_torchs_settings(argon, crystal):
    import torch

    config = _config()
    states = start_states([crystal], config, seed=1)
    before = state_to_bytes(states)
    generator = torch.random.get_rng_state()
    run_segment(argon, states, config, segment_index=0, seed=1, model_sha="m")
    assert state_to_bytes(states) == before
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_finished_run_stays_finished(argon, crystal):
    config = _config(steps=20)
    states, _, _ = _run(argon, start_states([crystal], config, seed=1), config)
    more = run_segment(argon, states, config, segment_index=1, seed=1, model_sha="m")
    assert (more.states, more.frames, more.stopped) == (states, [], {})


def test_state_bytes_are_exact_and_equal_for_equal_states(crystal):
    states = start_states([crystal], _config(), seed=1)
    states[0].positions[0, 0] = np.nextafter(0.1, 1)
    again = bytes_to_state(state_to_bytes(states))
    assert state_to_bytes(again) == state_to_bytes(states)
    assert again[0].positions[0, 0] == states[0].positions[0, 0]
    assert np.isnan(again[0].energy)
    assert (again[3].replica, again[3].temperature, again[3].step) == (3, 40.0, 0)


def test_states_of_the_first_format_are_read(crystal):
    """Before ramps, moving cells and rewinds, states had fewer fields."""
    state = replace(start_states([crystal], _config(), seed=1)[1], step=20, energy=-0.3)
    names = ("numbers", "masses", "positions", "momenta", "cell", "pbc")
    arrays = {f"{n}_0": getattr(state, n) for n in (*names, "start_positions")}
    arrays["scalars_0"] = np.array([40.0, -0.3, -0.4])
    head = {"format": "fire-replicas-1", "replicas": [{"replica": 1, "step": 20}]}
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (read,) = bytes_to_state(buffer.getvalue())
    now = replace(state, start_energy=-0.4)
    assert state_to_bytes([read]) == state_to_bytes([now])
    assert (read.last_temperature, read.rewinds) == (40.0, 0)


def test_clear_refusals(argon, crystal):
    salt = bulk("LiCl", "rocksalt", a=5.13)
    config = _config()
    with pytest.raises(UnknownElementError, match="replica 0 holds Cl, Li"):
        run_segment(
            argon,
            start_states([salt], config, seed=1),
            config,
            segment_index=0,
            seed=1,
            model_sha="m",
        )
    crystal.pbc = (True, True, False)
    with pytest.raises(StructureError, match="periodic in all directions or in none"):
        start_states([crystal], config, seed=1)
    with pytest.raises(StructureError, match="at least one starting structure"):
        start_states([], config, seed=1)
    buffer = io.BytesIO()
    np.savez(buffer, other=np.zeros(1))
    with pytest.raises(StructureError, match="expected replica states of format"):
        bytes_to_state(buffer.getvalue())
