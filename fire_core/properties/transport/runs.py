"""Long dynamics at several temperatures, in repeatable segments, as plain bytes."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import chemical_symbols

from fire_core.config.guards import GuardConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.errors import PropertyError
from fire_core.exploration.dynamics import (
    bytes_to_state,
    run_segment,
    start_states,
    state_to_bytes,
)
from fire_core.exploration.guards import kinetic_temperature
from fire_core.properties.transport.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.exploration.dynamics import Driver, ReplicaState
    from fire_core.properties.transport.settings import TransportConfig
    from fire_core.records import Frame

GUARDS: Final = GuardConfig(max_displacement=900.0)
"""Ions diffuse, and the thermostat lets the whole cell drift: neither is lost. Still
below the 1000 Å that the dynamics stops at. The other limits are the usual ones."""
BAROSTAT_SEED: Final = 7919
"""Added to the seed where the cell is found, so that no noise comes twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Frames of one stretch of every replica, and where they go on.

    Attributes
    ----------
    states
        Replicas that go on.
    positions
        Of each replica in `states`: (n_frames, n_atoms, 3), Å, float32, unwrapped.
    energies
        (n_frames,) each, eV.
    kinetic
        Kinetic temperature of each at the end, K.
    stopped
        Reason by the number of each replica that a guard ended here.
    """

    states: list[ReplicaState]
    positions: dict[int, NDArray[np.float32]]
    energies: dict[int, NDArray[np.float64]]
    kinetic: dict[int, float]
    stopped: dict[int, str]


def plan_dynamics(config: TransportConfig) -> DynamicsConfig:
    """Return the dynamics of the production runs, in whole steps.

    Raises
    ------
    PropertyError
        A run holds no two frames.
    """
    stride = max(1, round(config.save_every_fs / config.timestep))
    frame_ps = 1e-3 * stride * config.timestep
    equilibration = round(config.equilibration_ps / frame_ps) * stride
    production = round(config.ps / frame_ps) * stride
    if production < 2 * stride:
        msg = (
            f"{config.ps:g} ps hold no two frames {frame_ps:g} ps apart; raise `ps`, "
            "or save more often by `save_every_fs`"
        )
        raise PropertyError(msg)
    return DynamicsConfig(
        temperatures=config.temperatures,
        replicas=config.replicas * len(config.temperatures),
        steps=equilibration + production,
        timestep=config.timestep,
        friction=config.friction,
        save_every=stride,
        equilibration=equilibration,
        segment=max(1, round(config.segment_ps / frame_ps)) * stride,
        guards=GUARDS,
    )


def plan_barostat(config: TransportConfig) -> DynamicsConfig:
    """Return the dynamics that finds the cells; frames are of its second half."""
    plan = plan_dynamics(config)
    stride = plan.save_every
    steps = 2 * max(1, round(500 * config.barostat_ps / config.timestep / stride))
    changes = {
        "barostat": config.barostat,
        "steps": steps * stride,
        "equilibration": steps // 2 * stride,
        "segment": steps * stride,
    }
    return DynamicsConfig.model_validate(plan.model_dump() | changes)


def find_cells(
    backbone: Driver, atoms: Atoms, config: TransportConfig, seed: int
) -> list[NDArray[np.float64]]:
    """Return the mean cell of each temperature at the barostat's pressure, Å.

    Raises
    ------
    PropertyError
        No replica of a temperature survived.
    """
    plan = plan_barostat(config)
    result = run_segment(
        backbone,
        start_states([atoms], plan, seed + BAROSTAT_SEED),
        plan,
        segment_index=0,
        seed=seed + BAROSTAT_SEED,
        model_sha="",
    )
    cells = []
    alive = {state.replica for state in result.states}
    for temperature in config.temperatures:
        frames = [
            frame.atoms.cell.array
            for frame in result.frames
            if frame.tag.temperature == temperature and frame.tag.replica in alive
        ]
        if not frames:
            msg = (
                f"no run at {temperature:g} K survived at constant pressure; leave "
                "`barostat` out, or lower the temperature"
            )
            raise PropertyError(msg)
        cells.append(np.mean(frames, axis=0))
    return cells


def begin(
    atoms: Atoms,
    config: TransportConfig,
    seed: int,
    cells: Sequence[NDArray[np.float64]] | None = None,
) -> list[ReplicaState]:
    """Return the first states of all replicas, in the cell of their temperature."""
    states = start_states([atoms], plan_dynamics(config), seed)
    if cells is None:
        return states
    moved = []
    for state in states:
        cell = np.asarray(cells[config.temperatures.index(state.temperature)])
        positions = state.positions @ np.linalg.solve(state.cell, cell)
        moved.append(
            replace(
                state,
                cell=cell,
                positions=positions,
                start_cell=cell.copy(),
                start_positions=positions.copy(),
            )
        )
    return moved


def advance(
    backbone: Driver,
    states: Sequence[ReplicaState],
    config: TransportConfig,
    *,
    index: int,
    seed: int,
) -> Segment:
    """Run one segment; see `exploration.dynamics.run_segment`."""
    result = run_segment(
        backbone,
        states,
        plan_dynamics(config),
        segment_index=index,
        seed=seed,
        model_sha="",
    )
    by_replica: dict[int, list[Frame]] = {s.replica: [] for s in result.states}
    for frame in result.frames:
        if frame.tag.replica in by_replica:
            by_replica[frame.tag.replica].append(frame)
    return Segment(
        states=result.states,
        positions={
            replica: np.array([f.atoms.positions for f in frames], np.float32)
            for replica, frames in by_replica.items()
        },
        energies={
            replica: np.array([f.energy for f in frames])
            for replica, frames in by_replica.items()
        },
        kinetic={
            s.replica: kinetic_temperature(s.momenta, s.masses) for s in result.states
        },
        stopped={r: str(reason) for r, reason in result.stopped.items()},
    )


def segment_to_bytes(segment: Segment) -> bytes:
    """Return a segment as an npz archive; the same one, the same bytes."""
    arrays: dict[str, NDArray[np.generic]] = {
        "states": np.frombuffer(state_to_bytes(segment.states), np.uint8),
        "stopped": np.array([f"{r}:{reason}" for r, reason in segment.stopped.items()]),
    }
    for state in segment.states:
        key = state.replica
        arrays[f"positions-{key}"] = segment.positions[key]
        arrays[f"energies-{key}"] = segment.energies[key]
        arrays[f"kinetic-{key}"] = np.array(segment.kinetic[key])
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def bytes_to_segment(data: bytes) -> Segment:
    """Return a segment from its archive."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        states = bytes_to_state(archive["states"].tobytes())
        replicas = [state.replica for state in states]
        stopped = (text.split(":") for text in archive["stopped"].tolist())
        return Segment(
            states=states,
            positions={r: archive[f"positions-{r}"] for r in replicas},
            energies={r: archive[f"energies-{r}"] for r in replicas},
            kinetic={r: float(archive[f"kinetic-{r}"]) for r in replicas},
            stopped={int(replica): reason for replica, reason in stopped},
        )


def join_segments(
    segments: Sequence[Segment], config: TransportConfig
) -> dict[float, list[Trajectory]]:
    """Return the whole runs of each temperature that reached the end."""
    plan = plan_dynamics(config)
    interval = 1e-3 * plan.save_every * plan.timestep
    runs: dict[float, list[Trajectory]] = {t: [] for t in config.temperatures}
    for state in segments[-1].states:
        parts = [segment.positions[state.replica] for segment in segments]
        frames = np.concatenate([p for p in parts if len(p)])
        symbols = np.array([chemical_symbols[z] for z in state.numbers])
        runs[state.temperature].append(
            Trajectory(frames, interval, symbols, state.masses, state.cell)
        )
    return runs
