"""Whether a model conserves energy: a run at constant energy from a hot start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet

from fire_core.progress import tracked

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone
    from fire_core.config.steps import StabilityConfig

MAX_HEATING = 10.0
"""A run hotter than this many times its start has exploded."""


@dataclass(frozen=True, slots=True, eq=False)
class StabilityResult:
    """A constant-energy run.

    Attributes
    ----------
    completed
        Whether it reached its last step without exploding.
    drift_mev_per_atom_per_ps
        Magnitude of the slope of the total energy against time.
    times
        (n,), fs.
    energies
        (n,), total energy relative to the start, eV/atom.
    temperatures
        (n,), kinetic temperature, K.
    """

    completed: bool
    drift_mev_per_atom_per_ps: float
    times: NDArray[np.float64]
    energies: NDArray[np.float64]
    temperatures: NDArray[np.float64]


def run_nve(
    backbone: Backbone, atoms: Atoms, config: StabilityConfig, seed: int
) -> StabilityResult:
    """Run velocity Verlet from Maxwell–Boltzmann velocities.

    Velocities start at twice the configured temperature, since half of it goes
    into the potential energy of the crystal at once. The run ends at the first
    force that is not finite.
    """
    rng = np.random.default_rng(seed)
    moving = atoms.copy()
    moving.calc = backbone.calculator()
    thermalize_momenta(moving, 2 * config.temperature, rng=rng)
    Stationary(moving)
    dynamics = VelocityVerlet(moving, timestep=config.timestep * units.fs)
    every = max(1, config.steps // 100)
    samples = [_sample(moving, 0.0)]
    limit = MAX_HEATING * 2 * config.temperature
    completed = _is_finite(moving)
    for step in tracked(range(1, config.steps + 1), "Dynamics at constant energy"):
        if not completed:
            break
        dynamics.run(1)
        completed = _is_finite(moving) and bool(moving.get_temperature() <= limit)
        if step % every == 0 or not completed:
            samples.append(_sample(moving, step * config.timestep))
    times, energies, temperatures = np.array(samples).T
    energies = (energies - energies[0]) / len(atoms)
    slope = np.polyfit(times, energies, 1)[0] if completed else np.inf
    return StabilityResult(
        completed, float(abs(slope)) * 1e6, times, energies, temperatures
    )


def _is_finite(atoms: Atoms) -> bool:
    return bool(np.isfinite(atoms.get_forces()).all())


def _sample(atoms: Atoms, time: float) -> tuple[float, float, float]:
    return time, float(atoms.get_total_energy()), float(atoms.get_temperature())
