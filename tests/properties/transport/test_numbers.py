"""Arrhenius lines, conductivities and density maps against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from scipy.optimize import curve_fit

from benchmarks import transport_models as models
from benchmarks.transport import arrhenius_coverage
from fire_core.errors import PropertyError
from fire_core.properties.transport.analysis import analyse_transport
from fire_core.properties.transport.arrhenius import fit_arrhenius
from fire_core.properties.transport.conductivity import conductivity_per_diffusion
from fire_core.properties.transport.density import density_map, projections
from fire_core.properties.transport.settings import TransportAnalysis
from fire_core.properties.transport.trajectory import Trajectory
from fire_core.properties.transport.values import expected_anisotropy

TEMPERATURES = np.array([600.0, 800.0, 1000.0, 1200.0])


def test_a_line_without_noise_comes_back() -> None:
    values = 2e-3 * np.exp(-0.25 / (units.kB * TEMPERATURES))
    line = fit_arrhenius(TEMPERATURES, values, np.full(4, 1e7))
    assert line.energy == pytest.approx(0.25, abs=1e-6)
    cold = 2e-3 * np.exp(-0.25 / (units.kB * 300))
    assert line.at(300.0)[0] == pytest.approx(cold, rel=1e-4)
    assert line.widened == 1.0


def test_arrhenius_intervals_hold_the_truth_in_95_of_100() -> None:
    """Of 2000 draws the share scatters by half a per cent."""
    held = arrhenius_coverage(2000)
    assert held["energy"] == pytest.approx(0.95, abs=0.015)
    assert held["at_300_k"] == pytest.approx(0.95, abs=0.015)


def test_the_line_is_that_of_a_weighted_fit_by_scipy() -> None:
    rng = np.random.default_rng(4)
    dofs = np.array([400.0, 900.0, 1600.0, 2500.0])
    values = np.exp(-0.3 / (units.kB * TEMPERATURES)) * rng.chisquare(dofs) / dofs
    line = fit_arrhenius(TEMPERATURES, values, dofs)
    found, covariance = curve_fit(
        lambda x, a, b: a - b * x,
        1 / (units.kB * TEMPERATURES),
        np.log(values),
        sigma=np.sqrt(2 / dofs),
        absolute_sigma=True,
    )
    assert line.energy == pytest.approx(found[1], abs=0.05 * line.energy_error)
    assert line.energy_error == pytest.approx(np.sqrt(covariance[1, 1]), rel=0.01)


def test_a_bent_line_is_told_and_widened() -> None:
    values = np.exp(-np.array([0.5, 0.3, 0.3, 0.3]) / (units.kB * TEMPERATURES))
    line = fit_arrhenius(TEMPERATURES, values, np.full(4, 2000.0))
    assert line.widened > 3
    with pytest.raises(PropertyError, match="two temperatures"):
        fit_arrhenius(TEMPERATURES[:1], values[:1], np.full(1, 100.0))


def test_nernst_einstein_by_hand() -> None:
    """10²² cm⁻³ of charge e, D = 10⁻⁸ cm²/s, k_B T = 25.85 meV: σ = 0.62 mS/cm."""
    per_diffusion = conductivity_per_diffusion(10, 1000.0, 1.0, 300.0)
    expected = 1e22 * 1.602177e-19 * 1e-8 / 0.0258520
    assert per_diffusion * 1e-4 == pytest.approx(expected, rel=1e-4)
    twice = conductivity_per_diffusion(10, 1000.0, -2.0, 300.0)
    assert twice == pytest.approx(4 * per_diffusion)


def run(temperature: float, seed: int, scale: float = 1.0) -> Trajectory:
    rng = np.random.default_rng([seed, int(temperature)])
    rate = scale * 4.0 * np.exp(-0.2 / (units.kB * temperature))
    ions = models.jumps(rng, (1000, 30), rate, 3.0, 0.2)
    host = models.cage(rng, (1000, 40), 0.1, 1.0)
    return Trajectory(
        np.concatenate([ions, host], axis=1) + rng.uniform(0, 15, (70, 3)),
        0.1,
        np.array(["Na"] * 30 + ["Cl"] * 40),
        np.array([22.99] * 30 + [35.45] * 40),
        15 * np.eye(3),
    )


def test_the_whole_analysis_finds_the_energy_that_the_jumps_have() -> None:
    groups = {t: [run(t, s) for s in (0, 1)] for t in (500.0, 700.0, 900.0)}
    settings = TransportAnalysis(oxidation={"Na": 1, "Cl": -0.75})
    found = analyse_transport(groups, settings)
    values = {
        (v.name, v.conditions.get("temperature_k"), v.conditions.get("of")): v
        for v in found.result.values
    }
    energy = values["activation_energy", None, "self_diffusion"]
    assert energy.low < 0.2 < energy.high
    assert energy.error < 0.03
    for kelvin in (300.0, 500.0, 700.0, 900.0):
        exact = 60 * np.exp(-0.2 / (units.kB * kelvin)) * 1e-4  # rate × 9 / 6 / 0.1 ps
        value = values["self_diffusion", kelvin, None]
        assert value.low < exact < value.high
        sigma = values["conductivity", kelvin, None]
        known = conductivity_per_diffusion(30, 15.0**3, 1.0, kelvin) * exact * 1e4
        assert sigma.low < known < sigma.high
        if kelvin != 300.0:
            ratio = values["haven_ratio", kelvin, None]
            assert ratio.low < 1.0 < ratio.high
    assert found.result.curves["mobile"] == "Na"


def test_a_melting_framework_and_a_few_ions_are_told() -> None:
    hot = run(900.0, 0)
    melting = hot.positions.copy()
    rng = np.random.default_rng(1)
    melting[:, 30:] += models.brownian(rng, (1000, 40), 0.02)
    trajectory = Trajectory(melting, 0.1, hot.symbols, hot.masses, hot.cell)
    settings = TransportAnalysis(oxidation={"Na": 1, "Cl": -0.75})
    notes = " ".join(analyse_transport({900.0: [trajectory]}, settings).result.notes)
    assert "Cl at 900 K" in notes
    assert "30 mobile ions" in notes


def test_no_value_and_no_line_where_nothing_diffuses() -> None:
    groups = {t: [run(t, 0, scale=0.0)] for t in (500.0, 700.0)}
    settings = TransportAnalysis(oxidation={"Na": 1, "Cl": -0.75})
    found = analyse_transport(groups, settings).result
    numbers = [v for v in found.values if v.name != "mean_squared_displacement"]
    assert numbers
    assert all(v.value is None and v.note for v in numbers)


def test_the_density_holds_every_ion_where_it_is() -> None:
    still = np.tile([[[1.0, 2.0, 3.0], [9.9, -0.1, 5.0], [4.0, 4.0, 4.0]]], (7, 1, 1))
    trajectory = Trajectory(
        still,
        0.1,
        np.array(["Li", "Li", "Cl"]),
        np.array([6.94, 6.94, 35.45]),
        10 * np.eye(3),
    )
    density = density_map([trajectory], "Li", 1.0)
    assert density.shape == (10, 10, 10)
    assert density.sum() == pytest.approx(2.0)  # boxes of 1 Å³
    assert density[1, 2, 3] == pytest.approx(1.0)
    assert density[9, 9, 5] == pytest.approx(1.0)
    for view in projections(density):
        assert view.mean() == pytest.approx(2.0 / 1000.0)


def test_the_expected_anisotropy_is_that_of_isotropic_walks() -> None:
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(3000):
        noise = rng.normal(size=(3, 3)) / 2
        tensor = np.eye(3) + 0.1 * np.sqrt(2) * (noise + noise.T) / np.sqrt(2)
        eigenvalues = np.linalg.eigvalsh(tensor)
        ratios.append(eigenvalues[-1] / eigenvalues[0])
    assert np.mean(ratios) == pytest.approx(expected_anisotropy(0.1), rel=0.03)
