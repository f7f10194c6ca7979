"""Moduli of an elastic tensor: averages, directions, stability."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize

from fire_core.properties.elasticity.tensor import PAIRS, to_kelvin

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

STARTS: Final = 400
"""Directions from which the extremes of Young's modulus are sought."""


@dataclass(frozen=True, slots=True)
class Moduli:
    """Averages over directions; all in the unit of the tensor but the last two.

    Attributes
    ----------
    bulk_voigt, bulk_reuss, bulk_hill
        Bulk modulus: upper bound, lower bound and their mean.
    shear_voigt, shear_reuss, shear_hill
        Shear modulus, likewise.
    youngs
        Young's modulus of Hill's averages.
    poisson
        Poisson's ratio of Hill's averages.
    anisotropy
        Universal anisotropy index; 0 for an isotropic material.
    """

    bulk_voigt: float
    bulk_reuss: float
    bulk_hill: float
    shear_voigt: float
    shear_reuss: float
    shear_hill: float
    youngs: float
    poisson: float
    anisotropy: float


@dataclass(frozen=True, slots=True)
class Extreme:
    """An extreme of Young's modulus and a direction that it is reached in."""

    value: float
    direction: tuple[float, float, float]


def compute_moduli(stiffness: Array) -> Moduli:
    """Return the averages of a stable tensor.

    R. Hill, Proc. Phys. Soc. A 65, 349 (1952), eqs. for the bounds of Voigt and Reuss;
    the anisotropy of Ranganathan and Ostoja-Starzewski, Phys. Rev. Lett. 101, 055504
    (2008): 5 G_V/G_R + K_V/K_R - 6.

    Parameters
    ----------
    stiffness
        (6, 6), positive definite.
    """
    normal, coupling, shear = _parts(stiffness)
    bulk_voigt = (normal + 2 * coupling) / 9
    shear_voigt = (normal - coupling + 3 * shear) / 15
    normal, coupling, shear = _parts(np.asarray(np.linalg.inv(stiffness), np.float64))
    bulk_reuss = 1 / (normal + 2 * coupling)
    shear_reuss = 15 / (4 * normal - 4 * coupling + 3 * shear)
    k, g = (bulk_voigt + bulk_reuss) / 2, (shear_voigt + shear_reuss) / 2
    return Moduli(
        bulk_voigt=bulk_voigt,
        bulk_reuss=bulk_reuss,
        bulk_hill=k,
        shear_voigt=shear_voigt,
        shear_reuss=shear_reuss,
        shear_hill=g,
        youngs=9 * k * g / (3 * k + g),
        poisson=(3 * k - 2 * g) / (6 * k + 2 * g),
        anisotropy=5 * shear_voigt / shear_reuss + bulk_voigt / bulk_reuss - 6,
    )


def _parts(matrix: Array) -> tuple[float, float, float]:
    """Return the sums over 11, 22, 33, over 12, 13, 23, and over 44, 55, 66."""
    coupling = matrix[0, 1] + matrix[0, 2] + matrix[1, 2]
    normal, shear = np.trace(matrix[:3, :3]), np.trace(matrix[3:, 3:])
    return float(normal), float(coupling), float(shear)


def stability_eigenvalues(stiffness: Array) -> Array:
    """Return the six eigenvalues, smallest first, which do not depend on the axes.

    A crystal without load is stable against small strains if all are positive
    (Mouhat and Coudert, Phys. Rev. B 90, 224104 (2014)).
    """
    return np.asarray(np.linalg.eigvalsh(to_kelvin(stiffness)), np.float64)


def youngs_modulus(stiffness: Array, directions: Array) -> Array:
    """Return Young's modulus along unit vectors, (n, 3) to (n,).

    1/E(n) = S_ijkl n_i n_j n_k n_l (J. F. Nye, Physical Properties of Crystals).
    """
    compliance = np.linalg.inv(stiffness)
    # engineering strains: each product n_i n_j of a shear counts once in s n n
    squares = np.stack([directions[:, i] * directions[:, j] for i, j in PAIRS], axis=1)
    inverse = np.einsum("na,ab,nb->n", squares, compliance, squares)
    return np.asarray(1 / inverse, np.float64)


def youngs_extremes(stiffness: Array) -> tuple[Extreme, Extreme]:
    """Return the smallest and the largest Young's modulus over all directions."""
    low = _extreme(stiffness, 1.0)
    return low, _extreme(stiffness, -1.0)


def _extreme(stiffness: Array, sign: float) -> Extreme:
    directions = _even_directions(STARTS)
    values = youngs_modulus(stiffness, directions)
    start = directions[np.argmin(sign * values)]

    def value(vector: Array) -> float:
        unit = vector / np.linalg.norm(vector)
        return sign * float(youngs_modulus(stiffness, unit[None])[0])

    found = minimize(value, start, method="BFGS", tol=1e-12)
    unit = found.x / np.linalg.norm(found.x)
    # of directions that a reflection makes equal, the one with positive components
    flips = np.array(list(product((1, -1), repeat=3))) * unit
    same = np.isclose(youngs_modulus(stiffness, flips), abs(value(unit)), rtol=1e-6)
    unit = flips[same][np.argmax(flips[same].sum(axis=1))]
    x, y, z = (float(v) for v in np.round(unit, 3) + 0.0)
    return Extreme(abs(value(found.x)), (x, y, z))


def _even_directions(n: int) -> Array:
    """Return unit vectors spread evenly over a half sphere by the golden angle."""
    z = (np.arange(n) + 0.5) / n
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    r = np.sqrt(1 - z**2)
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], axis=1)


def propagate(
    function: Callable[[Array], Array], at: Array, covariance: Array
) -> Array:
    """Return standard errors of a function's values, by its slopes.

    Parameters
    ----------
    function
        From (n,) parameters to (m,) values.
    at
        (n,), the parameters.
    covariance
        (n, n), theirs.
    """
    step = 1e-4 * max(float(np.abs(at).max()), 1e-12)
    slopes = np.stack(
        [
            (function(at + step * unit) - function(at - step * unit)) / (2 * step)
            for unit in np.eye(len(at))
        ],
        axis=1,
    )
    spread = np.einsum("mi,ij,mj->m", slopes, covariance, slopes)
    return np.asarray(np.sqrt(np.maximum(spread, 0)), np.float64)
