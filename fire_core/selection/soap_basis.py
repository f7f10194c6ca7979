"""The radial and angular functions of SOAP, tabulated for the compiled kernel."""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import gamma

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.config.steps import SoapConfig

DECAY: Final = 1e-3
"""What each radial Gaussian has fallen to at its own radius, and the smeared atom
at the edge of the neighbourhood; both as dscribe has it."""
GRID: Final = 512
"""Points of the radial table. Cubic Hermite interpolation between them is off by less
than 1e-8 of the largest value (n 8, l 6, 5 Å; compared with dscribe in the tests)."""


class SoapBasis(NamedTuple):
    """What the kernel needs to expand a neighbourhood.

    Attributes
    ----------
    table
        (GRID + 1, 2, (l_max + 1) · n_max), each radial function divided by r^l, and
        its derivative in units of `step`; the last point stands twice.
    step
        Distance of two points of the table, Å.
    reach
        Distance up to which neighbours count, Å.
    norms
        (l_max + 1, l_max + 1), factor of the real solid harmonic l, m.
    """

    table: NDArray[np.float64]
    step: float
    reach: float
    norms: NDArray[np.float64]


def make_basis(config: SoapConfig) -> SoapBasis:
    """Return the basis of Gaussian-type orbitals, as dscribe defines it.

    The density of Gaussians exp(-|r - r_j|² / 2σ²) at the neighbours is projected on
    g_nl(r) Y_lm with g_nl(r) = Σ_k β_nkl r^l exp(-α_kl r²) (Himanen et al., Computer
    Physics Communications 247, 106949, 2020). The product of two Gaussians is one, so
    that with η = 1 / 2σ² a neighbour at distance r gives

    Σ_k β_nkl (π / (η + α))^{3/2} (η / (η + α))^l r^l exp(-ηα / (η + α) · r²) Y_lm.
    """
    degrees = np.arange(config.l_max + 1)
    alphas, betas = _orbitals(config)
    eta = 1.0 / (2.0 * config.sigma**2)
    total = eta + alphas
    weights = (np.pi / total) ** 1.5 * (eta / total) ** degrees[:, None]
    rates = eta * alphas / total
    reach = config.cutoff + config.sigma * np.sqrt(-2.0 * np.log(DECAY))
    r = np.linspace(0.0, reach, GRID)
    step = float(r[1])
    gaussians = np.exp(-rates * r[:, None, None] ** 2)
    slopes = -2.0 * rates * r[:, None, None] * gaussians * step
    mixing = betas * weights[:, None, :]
    values = np.einsum("rlk,lnk->rln", gaussians, mixing)
    derivatives = np.einsum("rlk,lnk->rln", slopes, mixing)
    table = np.stack([values, derivatives], axis=1).reshape(GRID, 2, -1)
    return SoapBasis(
        table=np.ascontiguousarray(np.concatenate([table, table[-1:]])),
        step=step,
        reach=float(reach),
        norms=_norms(config.l_max),
    )


def _orbitals(
    config: SoapConfig,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return α, (l_max + 1, n_max), and β, (l_max + 1, n_max, n_max).

    Each Gaussian falls to `DECAY` at its own radius between 1 Å and the cutoff; β
    makes them orthonormal after Löwdin, S^{-1/2} of their overlap S.
    """
    radii = np.linspace(1.0, config.cutoff, config.n_max)
    alphas, betas = [], []
    for degree in range(config.l_max + 1):
        alpha = -np.log(DECAY / radii**degree) / radii**2
        power = degree + 1.5
        overlap = 0.5 * gamma(power) * (alpha[:, None] + alpha) ** -power
        values, vectors = np.linalg.eigh(overlap)
        betas.append((vectors / np.sqrt(values)) @ vectors.T)
        alphas.append(alpha)
    return np.array(alphas), np.array(betas)


def _norms(l_max: int) -> NDArray[np.float64]:
    norms = np.zeros((l_max + 1, l_max + 1))
    for degree in range(l_max + 1):
        for order in range(degree + 1):
            ratio = factorial(degree - order) / factorial(degree + order)
            both = 2.0 if order else 1.0  # cosine and sine of one |m|
            norms[degree, order] = np.sqrt(
                both * (2 * degree + 1) / (4 * np.pi) * ratio
            )
    return norms


def feature_order(n_species: int, n_max: int, l_max: int) -> NDArray[np.int64]:
    """Return where each feature stands in the power spectrum, (n_features,).

    The spectrum is (l_max + 1, n_species · n_max, n_species · n_max), flat. The order
    is dscribe's: pairs of species, degree, radial functions; of symmetric blocks the
    upper triangle alone.
    """
    size = n_species * n_max
    where = np.arange((l_max + 1) * size * size).reshape(
        l_max + 1, n_species, n_max, n_species, n_max
    )
    upper = np.triu_indices(n_max)
    parts = []
    for first in range(n_species):
        for second in range(first, n_species):
            for degree in range(l_max + 1):
                block = where[degree, first, :, second, :]
                parts.append(block[upper] if first == second else block.ravel())
    return np.concatenate(parts)
