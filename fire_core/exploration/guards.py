"""Stop a replica that has left physics; one pure function for each sign of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase import units
from ase.data import covalent_radii
from ase.geometry import complete_cell

from fire_core.records import StopReason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.config.steps import GuardConfig
    from fire_core.exploration.states import ReplicaState

    Array = NDArray[np.float64]

BLOCK: Final = 256
"""Rows of the distance matrix held at once."""


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


def is_too_close(
    numbers: NDArray[np.int64],
    positions: Array,
    cell: Array,
    pbc: NDArray[np.bool_],
    *,
    factor: float,
) -> bool:
    """Say whether two atoms are nearer than `factor` × their covalent radii.

    Every periodic image counts, those of an atom itself included. For cells of up
    to some hundred atoms this takes a tenth of the time of a neighbour list.

    Parameters
    ----------
    numbers
        (n_atoms,), atomic numbers.
    positions
        (n_atoms, 3), Å.
    cell
        (3, 3), rows are lattice vectors, Å.
    pbc
        (3,), periodic directions.
    factor
        Fraction of the sum of two covalent radii.
    """
    radii = covalent_radii[numbers]
    reach = 2 * factor * float(radii.max(initial=0.0))
    cell = np.asarray(complete_cell(cell))
    shifts = _image_shifts(cell, pbc, reach)
    fractional = np.linalg.solve(cell.T, positions.T).T
    fractional[:, pbc] %= 1.0
    for first in range(0, len(radii), BLOCK):
        rows = slice(first, first + BLOCK)
        nearest = fractional[rows, None] - fractional[None]
        nearest[..., pbc] -= np.round(nearest[..., pbc])
        limit = (factor * (radii[rows, None] + radii[None])) ** 2
        own = np.arange(first, first + len(nearest))
        for shift in shifts:
            squared = np.sum(((nearest + shift) @ cell) ** 2, axis=-1)
            if not shift.any():
                squared[own - first, own] = np.inf
            if np.any(squared < limit):
                return True
    return False


def check_replica(
    state: ReplicaState, forces: Array, config: GuardConfig
) -> StopReason | None:
    """Judge one replica; None means that it may go on.

    Parameters
    ----------
    state
        The replica with its current energy.
    forces
        (n_atoms, 3), eV/Å, at its positions.
    config
        Limits.
    """
    moving = (state.positions, state.momenta, forces)
    if not (np.isfinite(state.energy) and all(np.isfinite(a).all() for a in moving)):
        return StopReason.NOT_FINITE
    place = (state.numbers, state.positions, state.cell, state.pbc)
    if is_too_close(*place, factor=config.min_distance_factor):
        return StopReason.TOO_CLOSE
    rise = abs(state.energy - state.start_energy) / len(state.numbers)
    if rise > config.max_energy_rise:
        return StopReason.ENERGY_DRIFT
    limit = config.max_temperature_factor * state.temperature
    if kinetic_temperature(state.momenta, state.masses) > limit:
        return StopReason.TOO_HOT
    moved = largest_displacement(state.positions, state.start_positions, state.masses)
    return StopReason.LOST_ATOM if moved > config.max_displacement else None


def _image_shifts(cell: Array, pbc: NDArray[np.bool_], reach: float) -> Array:
    """List the cell shifts, (n, 3), that pairs within `reach` Å can need.

    After rounding, each fractional difference lies in [-1/2, 1/2]; a vector d has
    |f_k| ≤ |d| / h_k for cell height h_k (Cauchy-Schwarz on the reciprocal
    vector), so the shift along k is at most |d| / h_k + 1/2.
    """
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    most = np.where(pbc, np.floor(reach / heights + 0.5), 0).astype(int)
    grids = np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij")
    return np.stack(grids, axis=-1).reshape(-1, 3).astype(np.float64)
