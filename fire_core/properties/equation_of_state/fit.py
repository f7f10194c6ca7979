"""Equation of state: energy against volume, third-order Birch-Murnaghan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from scipy.optimize import curve_fit

from fire_core.errors import PropertyError
from fire_core.properties.relaxation import relax

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from fire_core.properties.equation_of_state.settings import EquationOfStateConfig


@dataclass(frozen=True, slots=True)
class EquationOfState:
    """A fitted equation of state.

    Attributes
    ----------
    volume
        At zero pressure, Å³/atom.
    energy
        There, eV/atom.
    bulk_modulus
        There, GPa.
    derivative
        Of the bulk modulus with pressure.
    errors
        Standard errors of the four from the fit's residuals.
    residual
        Root mean square of the fit's residuals, meV/atom.
    """

    volume: float
    energy: float
    bulk_modulus: float
    derivative: float
    errors: tuple[float, float, float, float]
    residual: float


def birch_murnaghan(
    volumes: NDArray[np.float64],
    volume: float,
    energy: float,
    bulk_modulus: float,
    derivative: float,
) -> NDArray[np.float64]:
    """Return energies by the third-order Birch-Murnaghan equation.

    F. Birch, Phys. Rev. 71, 809 (1947). Any consistent units.
    """
    x = (volume / volumes) ** (2 / 3) - 1
    bracket = x**3 * derivative + x**2 * (6 - 4 * (x + 1))
    return energy + 9 * volume * bulk_modulus / 16 * bracket


def scan_volumes(
    atoms: Atoms, calculator: Calculator, settings: EquationOfStateConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return volumes (Å³/atom) and energies (eV/atom) around the relaxed cell."""
    tolerance, steps = settings.force_tolerance, settings.max_steps
    middle = relax(
        atoms, calculator, cell=True, force_tolerance=tolerance, max_steps=steps
    )
    volumes, energies = [], []
    for strain in np.linspace(-settings.strain, settings.strain, settings.points):
        strained = middle.copy()
        strained.set_cell(middle.cell * (1 + strain), scale_atoms=True)
        strained.calc = calculator
        if settings.relax:
            strained = relax(
                strained,
                calculator,
                cell=False,
                force_tolerance=tolerance,
                max_steps=steps,
            )
        volumes.append(strained.get_volume() / len(strained))
        energies.append(strained.get_potential_energy() / len(strained))
    return np.array(volumes), np.array(energies)


def fit_equation_of_state(
    volumes: NDArray[np.float64], energies: NDArray[np.float64]
) -> EquationOfState:
    """Fit a third-order Birch-Murnaghan equation.

    Parameters
    ----------
    volumes
        (n,), Å³/atom; at least five.
    energies
        (n,), eV/atom.

    Raises
    ------
    PropertyError
        The energies have no minimum between the volumes.
    """
    lowest = int(np.argmin(energies))
    if lowest in {0, len(volumes) - 1}:
        msg = (
            "the lowest energy is at an end of the volumes "
            f"({volumes.min():.2f} … {volumes.max():.2f} Å³/atom), so that they hold "
            "no equilibrium; scan further, or relax the cell first"
        )
        raise PropertyError(msg)
    a, b, c = np.polyfit(volumes, energies, 2)
    start_volume = -b / (2 * a)
    start = (start_volume, c - b**2 / (4 * a), 2 * a * start_volume, 4.0)
    found, covariance = curve_fit(birch_murnaghan, volumes, energies, p0=start)
    rest = energies - birch_murnaghan(volumes, *found)
    scale = np.array([1, 1, 1 / units.GPa, 1])
    values, errors = found * scale, np.sqrt(np.diag(covariance)) * scale
    return EquationOfState(
        volume=float(values[0]),
        energy=float(values[1]),
        bulk_modulus=float(values[2]),
        derivative=float(values[3]),
        errors=(errors[0], errors[1], errors[2], errors[3]),
        residual=float(1e3 * np.sqrt(np.mean(rest**2))),
    )
