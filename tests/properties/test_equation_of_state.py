"""The equation of state gives back what it was made of, and refuses what holds none."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.eos import EquationOfState as AseEquationOfState

from fire_core.errors import PropertyError
from fire_core.properties.equation_of_state.fit import (
    birch_murnaghan,
    fit_equation_of_state,
)
from fire_core.properties.equation_of_state.settings import EquationOfStateConfig

VOLUME, ENERGY, MODULUS, DERIVATIVE = 16.9, -3.37, 32.2, 4.6  # GPa, as of LiCl
VOLUMES = VOLUME * np.linspace(0.92, 1.08, 9)
EXACT = birch_murnaghan(VOLUMES, VOLUME, ENERGY, MODULUS * units.GPa, DERIVATIVE)


def test_a_curve_of_known_constants_gives_them_back() -> None:
    fit = fit_equation_of_state(VOLUMES, EXACT)
    assert fit.volume == pytest.approx(VOLUME, rel=1e-6)
    assert fit.energy == pytest.approx(ENERGY, rel=1e-8)
    assert fit.bulk_modulus == pytest.approx(MODULUS, rel=1e-5)
    assert fit.derivative == pytest.approx(DERIVATIVE, rel=1e-4)
    assert fit.residual < 1e-4


def test_bend_and_its_change_are_those_of_the_definition() -> None:
    """B = V d²E/dV² and B' = dB/dP at the minimum, by differences."""
    h = 1e-3 * VOLUME
    at = VOLUME + h * np.arange(-3, 4)
    energies = birch_murnaghan(at, VOLUME, ENERGY, MODULUS * units.GPa, DERIVATIVE)
    pressure = -np.gradient(energies, h, edge_order=2)
    bulk = -at * np.gradient(pressure, h, edge_order=2) / units.GPa
    slope = np.gradient(bulk, h)[3] / (np.gradient(pressure, h)[3] / units.GPa)
    assert pressure[3] == pytest.approx(0, abs=1e-5)
    assert bulk[3] == pytest.approx(MODULUS, rel=1e-3)
    assert slope == pytest.approx(DERIVATIVE, rel=0.02)


def test_fit_agrees_with_ase() -> None:
    noise = np.random.default_rng(2).normal(0, 1e-5, len(VOLUMES))
    fit = fit_equation_of_state(VOLUMES, EXACT + noise)
    other = AseEquationOfState(VOLUMES, EXACT + noise, eos="birchmurnaghan")
    volume, energy, modulus = other.fit(warn=False)
    assert fit.volume == pytest.approx(volume, rel=1e-5)
    assert fit.energy == pytest.approx(energy, rel=1e-8)
    assert fit.bulk_modulus == pytest.approx(modulus / units.GPa, rel=1e-4)


def test_errors_cover_noise() -> None:
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(100):
        fit = fit_equation_of_state(VOLUMES, EXACT + rng.normal(0, 1e-4, len(VOLUMES)))
        pulls.append((fit.bulk_modulus - MODULUS) / fit.errors[2])
    # of a t distribution with five degrees of freedom
    assert 0.8 < np.std(pulls) < 1.9


@pytest.mark.parametrize("part", [slice(5), slice(4, 9)])
def test_volumes_on_one_side_are_refused(part: slice) -> None:
    with pytest.raises(PropertyError, match="scan further, or relax the cell first"):
        fit_equation_of_state(VOLUMES[part], EXACT[part])


def test_an_even_number_of_points_is_refused() -> None:
    with pytest.raises(ValueError, match="an odd number of points"):
        EquationOfStateConfig(points=6)
