"""Stress of moving atoms: ideal gas, a pair's partition sum, argon near 0 K."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk

from fire_core.config.steps import DynamicsConfig
from fire_core.errors import PropertyError
from fire_core.exploration.dynamics import run_segment, start_states
from fire_core.properties.thermal_elasticity.measure import measure
from fire_core.properties.thermal_elasticity.settings import ThermalElasticityConfig
from fire_core.properties.thermal_elasticity.stress import block_means, internal_stress
from tests.exploration.conftest import Argon, Free
from tests.properties.mechanics.conftest import (
    EPSILON,
    SIGMA,
    PairBackbone,
    PairCalculator,
    in_memory,
    lennard_jones,
    values_of,
)

NEAREST = lennard_jones(4.9)  # the potential of exploration's Argon
LATTICE = np.sqrt(2) * 2 ** (1 / 6) * SIGMA
SHORT = {
    "kind": "thermal_elasticity",
    "temperature": 1.0,
    "cell": "relaxed",
    "force_tolerance": 1e-6,
    "strain": 0.002,
    "timestep": 8.0,
    "friction": 0.005,
    "steps": 900,
    "equilibration": 180,
    "sample_every": 5,
    "segment": 300,
    "blocks": 8,
}


class Gas(Free):
    """Atoms that do not interact, for the stress too."""

    name = "gas"
    sha256 = "gas"

    def predict(self, frames: list[Atoms], **_: Any) -> list[Any]:
        return PairBackbone(lennard_jones(0.01)).predict(frames)

    def calculator(self) -> PairCalculator:
        return PairCalculator(lennard_jones(0.01))


class Driven(PairBackbone):
    """Argon that drives batched dynamics."""

    def batched_model(self, *, stress: bool = False) -> Any:
        return Argon().batched_model(stress=stress)


def test_free_atoms_have_the_pressure_of_an_ideal_gas() -> None:
    stress = internal_stress(np.zeros(6), 0.025, 300.0)
    assert -stress[:3] == pytest.approx(0.025e30 * 1.380649e-23 * 300 / 1e9)  # SI
    assert stress[3:] == pytest.approx(0)


def test_every_degree_of_freedom_carries_its_kinetic_stress() -> None:
    """Of momenta as the dynamics leaves them, Σ p_a p_b / m V is ρ k_B T δ_ab.

    All four atoms count; without the centre of mass a quarter would be missing.
    """
    atoms = Atoms("Ar4", positions=20 * np.eye(4, 3), cell=[40] * 3, pbc=True)
    config = DynamicsConfig(
        temperatures=(300.0,), replicas=32, steps=1000, timestep=5.0, friction=0.1,
        save_every=10, segment=20, guards={"max_displacement": 1e3,
        "min_distance_factor": 0.001, "max_temperature_factor": 100},
    )  # fmt: skip
    states = start_states([atoms], config, 0)
    found = []
    for index in range(25):
        states = run_segment(
            Free(), states, config, segment_index=index, seed=0, model_sha="free"
        ).states
        for state in states:
            p, m = state.momenta, state.masses
            found.append(np.einsum("na,nb,n->ab", p, p, 1 / m) / atoms.get_volume())
    mean = np.mean(found[5 * 32 :], axis=0) / units.GPa
    expected = -internal_stress(np.zeros(6), 4 / atoms.get_volume(), 300.0)[0]
    assert mean == pytest.approx(expected * np.eye(3), abs=0.1 * expected)


def test_two_atoms_in_a_box_press_as_their_partition_sum_says() -> None:
    """P = k_B T d ln Z / dV: the stress on one side, energies and volumes on the other.

    Averages over a grid of positions of the second atom, Z = V² ⟨exp(-u / k_B T)⟩; on
    any grid that scales with the box both sides are the same.
    """
    kT = 0.9 * EPSILON
    smooth = lennard_jones(9.9)  # below half of each box
    n = 10
    line = (np.arange(n) + 0.5) / n / 2  # by symmetry an octant is enough
    grid = np.stack(np.meshgrid(line, line, line), -1).reshape(-1, 3)

    def weights(length: float) -> np.ndarray:
        r = np.linalg.norm(grid * length, axis=1)
        edge = smooth.energy(np.array(smooth.cutoff))  # no impulse at the cutoff
        energy = np.where(r < smooth.cutoff, smooth.energy(r) - edge, 0.0)
        return np.exp(-np.minimum(energy / kT, 200.0))

    length = 20.0
    step = 0.002

    def log_z(side: float) -> float:
        return float(2 * np.log(side**3) + np.log(weights(side).mean()))

    volumes = [(length * (1 + s)) ** 3 for s in (step, -step)]
    slope = (log_z(length * (1 + step)) - log_z(length * (1 - step))) / (
        volumes[0] - volumes[1]
    )
    pressure = kT * slope / units.GPa
    weight = weights(length)
    heavy = np.flatnonzero((weight > 1e-9) & (np.abs(weight - 1) > 1e-12))
    mean = np.zeros(6)
    for which in heavy:
        pair = Atoms("Ar2", positions=[[0, 0, 0], grid[which] * length])
        pair.set_cell([length] * 3)
        pair.pbc = True
        pair.calc = PairCalculator(smooth)
        mean += weight[which] * pair.get_stress()
    mean /= weight.sum()
    found = internal_stress(mean, 2 / length**3, kT / units.kB)
    ideal = 2 * kT / length**3 / units.GPa
    assert abs(pressure - ideal) > 0.02 * ideal  # the forces matter
    assert -found[:3].mean() == pytest.approx(pressure, rel=1e-4)


def test_block_errors_are_those_of_correlated_numbers() -> None:
    """A first-order process of known correlation: the true spread of means is met."""
    rng = np.random.default_rng(4)
    keep, n, runs = 0.9, 4000, 60
    series = np.zeros((n, runs))
    for i in range(1, n):
        series[i] = keep * series[i - 1] + np.sqrt(1 - keep**2) * rng.normal(size=runs)
    found = block_means(series, 10)
    exact = np.sqrt((1 + keep) / (1 - keep) / n)
    assert np.sqrt(np.mean(found.error**2)) == pytest.approx(exact, rel=0.15)
    assert found.mean.std() == pytest.approx(exact, rel=0.25)
    assert np.abs(found.mean / found.error).mean() < 1.5
    single = block_means(series[:, :1], 10)
    assert 5 < single.correlation < 60  # exact: 19


def test_argon_near_zero_has_the_constants_of_the_still_crystal() -> None:
    """2 φ''/a and φ''/a at 1 K, within four errors and a tenth at most."""
    atoms = bulk("Ar", a=5.41, cubic=True)
    here = in_memory(atoms, Driven(NEAREST), SHORT)
    result = measure(here.measurement)
    bend = 72 / 2 ** (1 / 3) * EPSILON / SIGMA**2
    expected = np.array([2, 1, 1]) * bend / LATTICE / units.GPa
    values = values_of(result)
    for name, exact in zip(("c11", "c12", "c44"), expected, strict=True):
        value = values[name]
        assert abs(value.value - exact) < 4 * value.error + 0.03 * exact
        assert value.error < 0.1 * exact
        assert value.conditions == {"temperature_k": 1.0}
    assert len(result.curves["points"]) == 2  # xx and yz are enough for a cube
    # a killed run goes on: the last segment again gives the same bits
    last = here.parts.pop("minus-0002")
    here.computed.clear()
    assert measure(here.measurement) == result
    assert here.computed == ["minus-0002"]
    assert here.parts["minus-0002"] == last


def test_an_ideal_gas_resists_compression_alone() -> None:
    """dP/dε at constant temperature: C11 = C12 = P and C44 = 0, without noise."""
    atoms = bulk("Ar", a=12.0, cubic=True).repeat(2)
    settings = SHORT | {
        "cell": "given",
        "temperature": 300.0,
        "symmetry": "reduce",
        "largest_move": 1e3,
        "steps": 200,
        "equilibration": 40,
        "segment": 100,
    }
    result = measure(in_memory(atoms, Gas(), settings).measurement)
    pressure = 4 / 12.0**3 * units.kB * 300 / units.GPa
    values = values_of(result)
    assert values["c11"].value == pytest.approx(pressure, rel=1e-4)
    assert values["c12"].value == pytest.approx(pressure, rel=1e-4)
    assert values["c44"].value == pytest.approx(0, abs=1e-9)


def test_a_crystal_that_melts_is_refused() -> None:
    settings = SHORT | {"temperature": 900.0, "largest_move": 0.5, "cell": "given"}
    atoms = bulk("Ar", a=5.41, cubic=True)
    with pytest.raises(PropertyError, match="no crystal any more"):
        measure(in_memory(atoms, Driven(NEAREST), settings).measurement)


def test_settings_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="must be a multiple of sample_every"):
        ThermalElasticityConfig(steps=10_005)
    with pytest.raises(ValueError, match="too few for 10 blocks"):
        ThermalElasticityConfig(steps=2050, cell_steps=2050, equilibration=2000)
