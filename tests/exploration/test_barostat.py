"""The barostat samples the isothermal-isobaric ensemble."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.build import bulk

from fire_core.backbones.registry import load_backbone
from fire_core.backbones.systems import frames_to_state
from fire_core.config.ensemble import BarostatConfig
from fire_core.config.guards import GuardConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.errors import StructureError
from fire_core.exploration.barostat import LARGEST, log_scales
from fire_core.exploration.dynamics import run_segment, start_states

FREE = GuardConfig(
    min_distance_factor=1e-6,
    max_temperature_factor=1e3,
    max_energy_rise=1e3,
    max_displacement=1e3,
    max_volume_factor=1e6,
)
NORMAL_ERRORS = 4.0
"""Standard errors that a mean may be off."""


def run(backbone, starts, **options):
    """Return the frames of one segment after equilibration."""
    steps = options["steps"]
    config = DynamicsConfig(segment=steps, guards=FREE, save_every=10, **options)
    result = run_segment(
        backbone,
        start_states(starts, config, seed=3),
        config,
        segment_index=0,
        seed=3,
        model_sha="m",
    )
    assert not result.stopped
    return result.frames


def mean_and_error(values: np.ndarray, replicas: int) -> tuple[float, float]:
    """Mean, and its error from the means of independent replicas."""
    means = values.reshape(replicas, -1).mean(axis=1)
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(replicas))


def pressures(model, frames, temperature: float) -> np.ndarray:
    """Configurational and mean kinetic pressure along x, y, z, (n, 3), eV/Å³."""

    atoms = [f.atoms for f in frames]
    state = frames_to_state(atoms, device=model.device, dtype=model.dtype)
    stress = model(state)["stress"].diagonal(dim1=1, dim2=2).numpy()
    volume = np.array([a.get_volume() for a in atoms])
    return len(atoms[0]) * units.kB * temperature / volume[:, None] - stress


@pytest.mark.parametrize("axes", ["isotropic", "normal", "each"])
def test_an_ideal_gas_has_gamma_distributed_volumes(free, axes):
    """P(V) ∝ V^N exp(-P₀V/k_B T): mean (N + 1) k_B T/P₀, variance (N + 1) (…)²."""
    n, temperature, replicas = 8, 300.0, 40
    atoms = bulk("Ar", "fcc", a=5.26, cubic=True).repeat((1, 1, 2))
    pressure = units.kB * temperature * (n + 1) / atoms.get_volume()
    barostat = BarostatConfig(
        pressure=pressure / units.GPa,
        axes=axes,
        relaxation=100.0,
        compressibility=units.GPa / pressure * (1 if axes == "isotropic" else 3),
    )
    frames = run(
        free,
        [atoms],
        temperatures=(temperature,),
        replicas=replicas,
        steps=1200,
        equilibration=300,
        friction=0.02,
        timestep=1.0,
        barostat=barostat,
    )
    volumes = np.array([f.atoms.get_volume() for f in frames]) / (
        units.kB * temperature / pressure
    )
    mean, error = mean_and_error(volumes, replicas)
    assert error < 0.35
    assert mean == pytest.approx(n + 1, abs=NORMAL_ERRORS * error)
    spread, error = mean_and_error((volumes - (n + 1)) ** 2, replicas)
    assert spread == pytest.approx(n + 1, abs=NORMAL_ERRORS * error)
    lengths = np.array([f.atoms.cell.lengths() for f in frames])
    moved = np.ptp(lengths, axis=0) > 0
    assert moved.tolist() == [axes != "normal", axes != "normal", True]
    ratios = lengths[:, 0] / lengths[:, 2]
    assert (np.ptp(ratios) < 1e-9) == (axes == "isotropic")


TEMPERATURE, PRESSURE, REPLICAS = 40.0, 0.2, 24
SETTINGS = {"temperatures": (TEMPERATURE,), "timestep": 4.0, "equilibration": 200}


def squeeze(argon, crystal, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """Volumes, Å³, and pressures beyond the target, eV/Å³, of argon at 0.2 GPa."""
    barostat = BarostatConfig(
        pressure=PRESSURE, axes=axes, relaxation=200.0, compressibility=0.4
    )
    frames = run(
        argon, [crystal], replicas=REPLICAS, steps=1000, barostat=barostat, **SETTINGS
    )
    found = pressures(argon.model, frames, TEMPERATURE) - PRESSURE * units.GPa
    return np.array([f.atoms.get_volume() for f in frames]), found


@pytest.fixture(scope="module")
def squeezed(argon):
    crystal = bulk("Ar", "fcc", a=5.26, cubic=True)
    return {axes: squeeze(argon, crystal, axes) for axes in ("isotropic", "each")}


@pytest.mark.parametrize("axes", ["isotropic", "each"])
def test_a_crystal_feels_the_pressure_that_it_was_given(squeezed, axes):
    """Exact in the ensemble: ⟨P⟩ = P₀ and ⟨V (P - P₀)⟩ = -k_B T, for each axis."""
    volume, found = squeezed[axes]
    directions = found.mean(axis=1, keepdims=True) if axes == "isotropic" else found
    for excess in directions.T:
        mean, error = mean_and_error(excess / units.GPa, REPLICAS)
        assert error < 0.02
        assert mean == pytest.approx(0.0, abs=NORMAL_ERRORS * error)
        work = (volume - volume.mean()) * excess / (units.kB * TEMPERATURE)
        mean, error = mean_and_error(work, REPLICAS)
        assert error < 0.2
        assert mean == pytest.approx(-1.0, abs=NORMAL_ERRORS * error)


def test_volumes_are_distributed_as_constant_volume_says(argon, crystal, squeezed):
    """P(V) of NVT runs gives F(V) and so exp(-(F + P₀V)/k_B T): mean and variance."""
    cells = []
    for change in np.linspace(-0.16, 0.24, 8):
        cells.append(crystal.copy())
        scale = (1 + change) ** (1 / 3)
        cells[-1].set_cell(crystal.cell * scale, scale_atoms=True)
    frames = run(argon, cells, replicas=4 * len(cells), steps=600, **SETTINGS)
    by_volume: dict[float, list] = {}
    for frame in frames:
        by_volume.setdefault(round(frame.atoms.get_volume(), 6), []).append(frame)
    volumes = np.array(sorted(by_volume))
    means = [pressures(argon.model, by_volume[v], TEMPERATURE).mean() for v in volumes]
    curve = np.polynomial.Polynomial.fit(volumes, means, 4)
    grid = np.linspace(volumes[0], volumes[-1], 4000)
    work = (curve.integ()(grid) - PRESSURE * units.GPa * grid) / units.kB / TEMPERATURE
    density = np.exp(work - work.max())
    assert max(density[0], density[-1]) < 0.01
    density /= density.sum()
    expected = float(density @ grid)
    expected_variance = float(density @ (grid - expected) ** 2)
    found, _ = squeezed["isotropic"]
    mean, error = mean_and_error(found, REPLICAS)
    assert error < 0.01 * expected
    # F(V) has errors of its own, of about the same size
    assert mean == pytest.approx(expected, abs=1.5 * NORMAL_ERRORS * error)
    variance, error = mean_and_error((found - mean) ** 2, REPLICAS)
    assert error < 0.2 * expected_variance
    assert variance == pytest.approx(expected_variance, abs=1.5 * NORMAL_ERRORS * error)


def test_cold_salt_finds_the_volume_of_least_energy():
    """LiCl stretched by 4 % at 5 K shrinks to the minimum of E(V) of fire-mini."""
    mini = load_backbone("fire-mini", device="cpu")
    salt = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    lengths = np.linspace(4.9, 5.3, 17)
    frames = []
    for length in lengths:
        frames.append(salt.copy())
        frames[-1].set_cell(np.eye(3) * length, scale_atoms=True)
    energies = [label.energy for label in mini.predict(frames)]
    lowest = lengths[int(np.argmin(energies))]
    near = np.abs(lengths - lowest) < 0.09
    curve = np.polynomial.Polynomial.fit(lengths[near], np.array(energies)[near], 3)
    roots = curve.deriv().roots()
    best = roots[np.argmin(np.abs(roots - lowest))].real
    salt.set_cell(np.eye(3) * best * 1.04, scale_atoms=True)
    found = run(
        mini,
        [salt],
        temperatures=(5.0,),
        replicas=1,
        steps=200,
        equilibration=140,
        timestep=2.0,
        friction=0.05,
        barostat=BarostatConfig(relaxation=40.0),
    )
    cell = np.mean([f.atoms.cell.lengths() for f in found])
    assert cell == pytest.approx(best, rel=0.003)


def test_stress_is_the_slope_of_the_test_models_energy(argon, crystal):

    crystal.rattle(0.1, seed=1)
    model, step, energies = argon.model, 1e-4, []
    for sign in (1, -1):
        moved = crystal.copy()
        moved.set_cell(crystal.cell * [1, 1, 1 + sign * step], scale_atoms=True)
        state = frames_to_state([moved], device=model.device, dtype=model.dtype)
        energies.append(float(model(state)["energy"]))
    state = frames_to_state([crystal], device=model.device, dtype=model.dtype)
    slope = (energies[0] - energies[1]) / (2 * step) / crystal.get_volume()
    assert float(model(state)["stress"][0, 2, 2]) == pytest.approx(slope, rel=1e-5)


def test_nonsense_moves_a_cell_by_little():
    import torch

    config = BarostatConfig(axes="each")
    huge = torch.full((1, 3), 1e9, dtype=torch.float64)
    zero = torch.zeros(1, 3, dtype=torch.float64)
    changes = log_scales(config, huge, zero[:, 0], 0.1, zero)
    assert changes.tolist() == [[LARGEST] * 3]


def test_a_molecule_has_no_pressure(argon, crystal):
    crystal.pbc = False
    config = DynamicsConfig(barostat=BarostatConfig())
    with pytest.raises(StructureError, match="no periodic cell whose volume"):
        start_states([crystal], config, seed=1)
