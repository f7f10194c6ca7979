"""The random numbers of one replica: by seed, replica, segment and rewind alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.exploration.states import ReplicaState

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Noise:
    """Where a replica's random numbers come from; each use has a stream of its own."""

    thermostat: np.random.Generator
    barostat: np.random.Generator
    velocities: np.random.Generator


def noise_of(state: ReplicaState, seed: int, segment: int) -> Noise:
    """Return the streams of a replica in a segment, after its last rewind."""
    words = [seed, state.replica, 1 + segment]
    rewinds = [state.rewinds] if state.rewinds else []
    return Noise(
        np.random.default_rng([*words, *rewinds]),
        np.random.default_rng([*words, state.rewinds, 1]),
        np.random.default_rng([*words, state.rewinds, 2]),
    )


def draw_momenta(masses: Array, temperature: float, rng: np.random.Generator) -> Array:
    """Draw from the Maxwell-Boltzmann distribution and remove the sum.

    Parameters
    ----------
    masses
        (n_atoms,), atomic mass units.
    temperature
        K.
    rng
        Source.

    Returns
    -------
    (n_atoms, 3), ASE units, √(amu eV).
    """
    width = np.sqrt(masses * units.kB * temperature)
    momenta: Array = width[:, None] * rng.standard_normal((len(masses), 3))
    momenta -= masses[:, None] * momenta.sum(axis=0) / masses.sum()
    return momenta
