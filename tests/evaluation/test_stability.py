"""Energy is conserved by a smooth potential and not by a broken one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.lj import LennardJones

from fire_core.config.steps import StabilityConfig
from fire_core.evaluation.stability import run_nve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

ARGON = {"epsilon": 0.0104, "sigma": 3.4, "rc": 8.0, "smooth": True}


class Potential:
    """Lennard-Jones argon behind the part of a backbone that a run needs."""

    name, sha256, cutoff = "lj", "0", 8.0
    elements = frozenset({"Ar"})

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def calculator(self) -> LennardJones:
        calculator = LennardJones(**ARGON)
        if self.factor != 1.0:
            calculator = Skewed(**ARGON)
            calculator.factor = self.factor
        return calculator

    def predict(self, frames: Sequence[Atoms], *, batch_atoms: int = 0) -> list[Any]:
        raise AssertionError

    def batched_model(self, *, stress: bool = False) -> Any:
        raise AssertionError


class Skewed(LennardJones):  # type: ignore[misc]
    """Forces that push every atom along x: not the gradient of any energy."""

    factor = 1.0

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        super().calculate(*args, **kwargs)
        push = np.zeros_like(self.results["forces"])
        push[:, 0] = self.factor * (-1.0) ** np.arange(len(push))
        self.results["forces"] = self.results["forces"] + push


def argon() -> Atoms:
    return bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 2, 2)


def test_a_smooth_potential_conserves_energy_at_the_right_temperature() -> None:
    config = StabilityConfig(temperature=40, steps=400, timestep=4.0)
    result = run_nve(Potential(), argon(), config, seed=1)
    assert result.completed
    assert result.drift_mev_per_atom_per_ps < 0.05
    # half of the doubled kinetic energy has gone into the crystal
    assert 25 < result.temperatures[50:].mean() < 50
    assert np.allclose(np.diff(result.times), 16.0)


def test_the_drift_grows_with_the_time_step() -> None:
    def spread(timestep: float) -> float:
        config = StabilityConfig(temperature=40, steps=200, timestep=timestep)
        return float(np.ptp(run_nve(Potential(), argon(), config, seed=1).energies))

    assert spread(10.0) > 5 * spread(2.5)  # velocity Verlet is of second order


def test_an_explosion_is_reported_and_not_averaged() -> None:
    config = StabilityConfig(temperature=40, steps=400, timestep=4.0)
    result = run_nve(Potential(factor=5.0), argon(), config, seed=1)
    assert not result.completed
    assert result.drift_mev_per_atom_per_ps == np.inf


def test_a_force_that_is_not_finite_ends_the_run_at_once() -> None:
    """Not even one step on: positions that are not finite hang neighbour lists."""
    config = StabilityConfig(temperature=40, steps=400, timestep=4.0)
    result = run_nve(Potential(factor=np.nan), argon(), config, seed=1)
    assert not result.completed
    assert result.drift_mev_per_atom_per_ps == np.inf
    assert len(result.times) == 1


def test_the_starting_structure_is_left_alone() -> None:
    atoms = argon()
    before = atoms.positions.copy()
    run_nve(Potential(), atoms, StabilityConfig(temperature=40, steps=10), seed=1)
    assert np.array_equal(before, atoms.positions)
    assert atoms.calc is None
    assert units.fs > 0
