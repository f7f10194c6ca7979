"""Whether a spectrum is linear, causal and stable: the lin-KK test.

A sum of RC elements obeys the Kramers-Kronig relations; a spectrum that no such sum
describes breaks them (B. A. Boukamp, J. Electrochem. Soc. 142, 1885 (1995)). Time
constants are spread evenly in their logarithm, resistances may be negative, and their
number is the one that the Bayesian information criterion prefers. The rule of M.
Schönleber et al., Electrochim. Acta 131, 20 (2014), which ends at the first negative
resistances, ends too early where few elements fit badly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, eq=False)
class KramersKronig:
    """What the test found.

    Attributes
    ----------
    n_elements
        RC elements of the fit.
    residuals
        (n,), (Z - Z_fit) / |Z|, complex.
    """

    n_elements: int
    residuals: Complex

    @property
    def rms(self) -> float:
        """Root mean square of |Z - Z_fit| / |Z|."""
        return float(np.sqrt(np.mean(np.abs(self.residuals) ** 2)))


def check_kramers_kronig(frequencies: Array, measured: Complex) -> KramersKronig:
    """Test a spectrum, (n,) in Hz and Ω; a series capacitance and inductance count."""
    n_numbers = 2 * len(frequencies)
    best, lowest = fit_rc_elements(frequencies, measured, 1), np.inf
    for n in range(2, max(3, len(frequencies) - 3)):
        test = fit_rc_elements(frequencies, measured, n)
        size = max(test.rms, 1e-12)
        information = n_numbers * np.log(size**2) + (n + 3) * np.log(n_numbers)
        if information < lowest:
            best, lowest = test, information
    return best


def fit_rc_elements(frequencies: Array, measured: Complex, n: int) -> KramersKronig:
    """Fit `n` RC elements beside a resistance, an inductance and a capacitance."""
    omega = 2 * np.pi * frequencies
    times = np.geomspace(1 / omega.max(), 1 / omega.min(), n)
    s = 1j * omega[:, None]
    ones = np.ones((len(omega), 1), complex)
    # columns: resistance, RC elements, inductance, inverse of a capacitance
    columns = np.hstack([ones, 1 / (1 + s * times), s, 1 / s])
    weight = 1 / np.abs(measured)
    rows = columns * weight[:, None]
    both = np.vstack([rows.real, rows.imag])
    size = np.linalg.norm(both, axis=0)
    target = measured * weight
    goal = np.concatenate([target.real, target.imag])
    values = np.linalg.lstsq(both / size, goal, rcond=None)[0] / size
    return KramersKronig(n, (measured - columns @ values) * weight)
