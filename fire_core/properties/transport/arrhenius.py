"""Activation energy, and what a line in 1/T says of other temperatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from scipy.special import digamma, polygamma
from scipy.stats import chi2

from fire_core.errors import PropertyError
from fire_core.properties.values import TWO_SIDED_95

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Arrhenius:
    """ln y = ln y₀ - Ea / (k_B T), fitted.

    Attributes
    ----------
    energy, energy_error
        Activation energy Ea and its standard error, eV.
    log_prefactor
        ln y₀, of y in its own unit.
    covariance
        (2, 2), of ln y₀ and Ea.
    chi_square
        Weighted sum of squared residuals; expected is points - 2.
    widened
        By what factor the errors were widened, since the points scatter more than
        theirs allow around a line (p < 0.05); 1: they do not.
    """

    energy: float
    energy_error: float
    log_prefactor: float
    covariance: Array
    chi_square: float
    widened: float

    def at(self, temperature: float) -> tuple[float, float, float, float]:
        """Return y, its standard error and the ends of its 95 % interval.

        The interval is that of ln y, taken as normal.
        """
        gradient = np.array([1.0, -1.0 / (units.kB * temperature)])
        centre = self.log_prefactor + gradient[1] * self.energy
        error = float(np.sqrt(gradient @ self.covariance @ gradient))
        half = TWO_SIDED_95 * error
        value = float(np.exp(centre))
        ends = np.exp([centre - half, centre + half])
        return value, value * error, float(ends[0]), float(ends[1])


def fit_arrhenius(temperatures: Array, values: Array, dofs: Array) -> Arrhenius:
    """Fit an Arrhenius line through positive numbers, weighted by their errors.

    A mean square with ν degrees of freedom has a logarithm with the mean
    ψ(ν/2) - ln(ν/2) above the true one's and the variance ψ'(ν/2), exactly; both are
    used, so that short runs do not bend the line.

    Parameters
    ----------
    temperatures
        (n,), K, at least two that differ.
    values
        (n,), positive.
    dofs
        (n,), degrees of freedom of each; the relative error is √(2/ν).

    Raises
    ------
    PropertyError
        Fewer than two temperatures.
    """
    if len(set(temperatures.tolist())) < 2:
        msg = (
            "expected diffusion at two temperatures or more for an activation energy, "
            f"got {len(set(temperatures.tolist()))}; run longer or hotter"
        )
        raise PropertyError(msg)
    logs = np.log(values) - digamma(dofs / 2) + np.log(dofs / 2)
    errors = np.sqrt(polygamma(1, dofs / 2))
    design = np.column_stack([np.ones(len(logs)), -1.0 / (units.kB * temperatures)])
    scaled = design / errors[:, None]
    covariance = np.linalg.inv(scaled.T @ scaled)
    found = covariance @ scaled.T @ (logs / errors)
    chi_square = float(np.sum(((logs - design @ found) / errors) ** 2))
    free, widened = len(logs) - 2, 1.0
    if free > 0 and chi2.sf(chi_square, free) < 0.05:
        widened = float(np.sqrt(chi_square / free))
    covariance = covariance * widened**2
    return Arrhenius(
        energy=float(found[1]),
        energy_error=float(np.sqrt(covariance[1, 1])),
        log_prefactor=float(found[0]),
        covariance=covariance,
        chi_square=chi_square,
        widened=widened,
    )
