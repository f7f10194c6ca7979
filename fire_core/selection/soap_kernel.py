"""SOAP's expansion of atomic neighbourhoods, compiled by numba.

For each centre and each species of its neighbours the coefficients c_nlm of the
smeared density are summed up, and never held for a pair of atoms. Cells of hundreds
of atoms need no neighbour list: looking at every pair costs a tenth of the expansion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.selection.compiled import jit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.selection.compiled import AtomPositions
    from fire_core.selection.soap_basis import SoapBasis


@jit
def _fill_radial(
    distance: float, basis: SoapBasis, radial: NDArray[np.float64]
) -> None:
    """Interpolate the radial functions (cubic Hermite)."""
    t = distance / basis.step
    k = int(t)
    t -= k
    right = t * t * (3.0 - 2.0 * t)
    left = 1.0 - right
    rise = t * (1.0 - t) * (1.0 - t)
    fall = t * t * (t - 1.0)
    table = basis.table
    for q in range(len(radial)):
        radial[q] = (
            left * table[k, 0, q]
            + rise * table[k, 1, q]
            + right * table[k + 1, 0, q]
            + fall * table[k + 1, 1, q]
        )


@jit
def _fill_harmonics(
    away: tuple[float, float, float],
    norms: NDArray[np.float64],
    harmonics: NDArray[np.float64],
) -> None:
    """Compute the real solid harmonics r^l Y_lm, l² + l + m in order.

    x + iy is raised to the power m, the rest is the recurrence of the associated
    Legendre functions in l, with r² and z in place of 1 and cos θ.
    """
    x, y, z = away
    squared = x * x + y * y + z * z
    cosine, sine, double = 1.0, 0.0, 1.0
    for m in range(len(norms)):
        if m > 0:
            cosine, sine = x * cosine - y * sine, x * sine + y * cosine
            double *= 2 * m - 1
        last, before = double, 0.0
        for degree in range(m, len(norms)):
            if degree > m:
                following = (2 * degree - 1) * z * last
                following -= (degree + m - 1) * squared * before
                last, before = following / (degree - m), last
            value = last * norms[degree, m]
            harmonics[degree * degree + degree + m] = value * cosine
            if m > 0:
                harmonics[degree * degree + degree - m] = value * sine


@jit
def _add_product(
    radial: NDArray[np.float64],
    harmonics: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    n_max = total.shape[1]
    degrees = len(radial) // n_max
    for degree in range(degrees):
        for lm in range(degree * degree, (degree + 1) * (degree + 1)):
            for n in range(n_max):
                total[lm, n] += radial[degree * n_max + n] * harmonics[lm]


@jit
def _add_neighbours(
    centre: int,
    place: AtomPositions,
    basis: SoapBasis,
    space: tuple[NDArray[np.float64], NDArray[np.float64]],
    totals: NDArray[np.float64],
) -> None:
    """Add every atom within reach of a centre, itself included, to `totals`."""
    radial, harmonics = space
    cell = place.cell
    between = np.empty(3)
    for j in range(len(place.fractional)):
        for k in range(3):
            between[k] = place.fractional[j, k] - place.fractional[centre, k]
            if place.periodic[k]:
                between[k] -= np.rint(between[k])
        for shift in place.shifts:
            a, b, c = (
                between[0] + shift[0],
                between[1] + shift[1],
                between[2] + shift[2],
            )
            x = a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
            y = a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
            z = a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
            squared = x * x + y * y + z * z
            if squared < basis.reach * basis.reach:
                _fill_radial(np.sqrt(squared), basis, radial)
                _fill_harmonics((x, y, z), basis.norms, harmonics)
                _add_product(radial, harmonics, totals[place.kinds[j]])


@jit
def expand(
    place: AtomPositions,
    centres: NDArray[np.int64],
    basis: SoapBasis,
    coefficients: NDArray[np.float64],
) -> None:
    """Fill the coefficients of some centres.

    Parameters
    ----------
    place
        The atoms.
    centres
        (n,), which of them.
    basis
        Radial and angular functions.
    coefficients
        ((l_max + 1)², n, n_species · n_max), what is filled.
    """
    n_lm, _, size = coefficients.shape
    n_max = basis.table.shape[2] // len(basis.norms)
    totals = np.empty((size // n_max, n_lm, n_max))
    space = (np.empty(basis.table.shape[2]), np.empty(n_lm))
    for c in range(len(centres)):
        totals[:] = 0.0
        _add_neighbours(centres[c], place, basis, space, totals)
        for lm in range(n_lm):
            for kind in range(len(totals)):
                for n in range(n_max):
                    coefficients[lm, c, kind * n_max + n] = totals[kind, lm, n]
