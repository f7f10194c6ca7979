"""Stop a replica that has left physics; one pure function for each sign of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import units

from fire_core.exploration.barostat import scaled_positions
from fire_core.records import StopReason
from fire_core.structures.contacts import is_too_close

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.config.guards import GuardConfig
    from fire_core.exploration.states import ReplicaState

    Array = NDArray[np.float64]


def kinetic_temperature(momenta: Array, masses: Array) -> float:
    """Compute 2 K / (3 N k_B), K, from momenta in ASE units.

    Langevin noise drives all 3 N degrees of freedom, so none is subtracted.
    """
    twice_kinetic = float(np.sum(momenta**2 / masses[:, None]))
    return twice_kinetic / (momenta.size * float(units.kB))


def largest_displacement(positions: Array, start: Array, masses: Array) -> float:
    """Find how far any atom has left its start, Å, without the cell's own drift.

    The thermostat lets the centre of mass wander, which no atom is lost by.
    """
    moved = positions - start
    moved = moved - masses @ moved / masses.sum()
    return float(np.sqrt(np.max(np.sum(moved**2, axis=1), initial=0.0)))


def volume_factor(cell: Array, start_cell: Array) -> float:
    """Find by what factor, 1 or more, a volume has grown or shrunk."""
    ratio = abs(float(np.linalg.det(cell) / np.linalg.det(start_cell)))
    return max(ratio, 1.0 / ratio) if ratio > 0 else float("inf")


def check_replica(
    state: ReplicaState, forces: Array, config: GuardConfig, n_steps: int
) -> StopReason | None:
    """Judge one replica by itself; None means that it may go on.

    Parameters
    ----------
    state
        The replica with its current energy.
    forces
        (n_atoms, 3), eV/Å, at its positions.
    config
        Limits.
    n_steps
        MD steps of the run, for the thermostat target of a ramp.
    """
    moving = (state.positions, state.momenta, state.cell, forces)
    if not (np.isfinite(state.energy) and all(np.isfinite(a).all() for a in moving)):
        return StopReason.NOT_FINITE
    origin = state.start_positions
    if not np.array_equal(state.cell, state.start_cell):
        if volume_factor(state.cell, state.start_cell) > config.max_volume_factor:
            return StopReason.VOLUME
        origin = scaled_positions(origin, state.start_cell, state.cell)
    place = (state.numbers, state.positions, state.cell, state.pbc)
    if is_too_close(*place, factor=config.min_distance_factor):
        return StopReason.TOO_CLOSE
    rise = abs(state.energy - state.start_energy) / len(state.numbers)
    if rise > config.max_energy_rise:
        return StopReason.ENERGY_DRIFT
    limit = config.max_temperature_factor * state.target(n_steps)
    if kinetic_temperature(state.momenta, state.masses) > limit:
        return StopReason.TOO_HOT
    moved = largest_displacement(state.positions, origin, state.masses)
    return StopReason.LOST_ATOM if moved > config.max_displacement else None
