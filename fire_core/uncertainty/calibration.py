"""Calibrate a raw uncertainty to force errors, and judge how well it fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import UncertaintyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENOUGH_FOR_POWER: Final = 200
"""Atoms below which the exponent stays 1."""
EXPONENTS: Final = (0.1, 2.0)
FLOOR_QUANTILE: Final = 0.01
"""Uncertainties below this quantile are raised to it: a chance agreement of all members
would otherwise outweigh everything in the likelihood."""
N_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """σ = scale × max(raw, floor)^exponent is the expected error of a force component.

    Attributes
    ----------
    scale
        In (eV/Å)^(1 − exponent) for a raw uncertainty in eV/Å.
    exponent
        1: proportional.
    floor
        Smallest raw uncertainty that is told apart.
    n_atoms
        Atoms that it was fitted to; 0: not fitted, σ is the raw value.
    """

    scale: float = 1.0
    exponent: float = 1.0
    floor: float = 0.0
    n_atoms: int = 0

    def apply(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected error of a force component, (n_atoms,), eV/Å."""
        sigma: NDArray[np.float64] = (
            self.scale * np.maximum(raw, self.floor) ** self.exponent
        )
        return sigma


@dataclass(frozen=True, slots=True)
class Reliability:
    """How uncertainties compare with the errors that were then observed.

    Attributes
    ----------
    n_components
        Force components compared.
    expected, observed
        Central fraction of a normal distribution, and the fraction of errors in it.
    miscalibration
        Mean |observed − expected|: 0 is perfect, 0.5 the worst (Tran et al., Mach.
        Learn.: Sci. Technol. 1 (2020) 025006).
    predicted, measured
        In bins of equal count, ordered by σ: root mean square σ and RMSE, eV/Å.
    ence
        Expected normalised calibration error, the bins' mean |RMSE − σ| / σ (Levi et
        al., Sensors 22 (2022) 5540).
    rank_correlation
        Spearman's, of σ and |error| of atoms: 1 puts them in the same order.
    rmse, rms_sigma
        Over everything, eV/Å.
    """

    n_components: int
    expected: tuple[float, ...]
    observed: tuple[float, ...]
    miscalibration: float
    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    ence: float
    rank_correlation: float
    rmse: float
    rms_sigma: float


def fit_calibration(
    raw: NDArray[np.float64], errors: NDArray[np.float64]
) -> Calibration:
    """Fit scale and exponent by maximum likelihood of normal errors.

    σ = a rawᵇ as in Musil et al. (J. Chem. Theory Comput. 15 (2019) 906). For a given
    b, a² is the mean of |ΔF|² / (3 raw²ᵇ); b is searched within `EXPONENTS`, and is 1
    where fewer than `ENOUGH_FOR_POWER` atoms are given.

    Parameters
    ----------
    raw
        (n_atoms,), uncertainty of each atom's force.
    errors
        (n_atoms, 3), predicted less true forces of structures that the model has not
        been trained on, eV/Å.

    Raises
    ------
    UncertaintyError
        Shapes differ, a value is not finite, or no uncertainty is above zero.
    """
    _refuse(raw, errors)
    floor = max(float(np.quantile(raw, FLOOR_QUANTILE)), 1e-6 * float(raw.max()))
    logs = np.log(np.maximum(raw, floor))
    squares = (errors**2).mean(axis=1)

    def log_scale(exponent: float) -> float:
        return 0.5 * float(np.log((squares / np.exp(2 * exponent * logs)).mean()))

    exponent = 1.0
    if len(raw) >= ENOUGH_FOR_POWER and np.ptp(logs) > 0:
        from scipy.optimize import minimize_scalar

        # with the best scale, the likelihood of b is that of mean log σ alone
        found = minimize_scalar(
            lambda b: log_scale(b) + b * logs.mean(), bounds=EXPONENTS, method="bounded"
        )
        exponent = float(found.x)
    return Calibration(float(np.exp(log_scale(exponent))), exponent, floor, len(raw))


def negative_log_likelihood(
    sigma: NDArray[np.float64], errors: NDArray[np.float64]
) -> float:
    """Return the mean over components of log σ + (ΔF/σ)²/2; less is better."""
    squares = (errors**2).mean(axis=1)
    return float(np.mean(np.log(sigma) + 0.5 * squares / sigma**2))


def assess(sigma: NDArray[np.float64], errors: NDArray[np.float64]) -> Reliability:
    """Compare calibrated uncertainties with observed errors.

    Parameters
    ----------
    sigma
        (n_atoms,), expected error of a component, eV/Å.
    errors
        (n_atoms, 3), eV/Å.

    Raises
    ------
    UncertaintyError
        Shapes differ, a value is not finite, or no uncertainty is above zero.
    """
    from scipy.stats import norm, spearmanr

    _refuse(sigma, errors)
    positive = np.maximum(sigma, 1e-9 * float(sigma.max()))
    expected = np.linspace(0.05, 0.95, 19)
    scores = np.sort(np.abs(errors / positive[:, None]).ravel())
    within = np.searchsorted(scores, norm.ppf(0.5 * (1 + expected)), side="right")
    observed = within / len(scores)
    order = np.argsort(positive, kind="stable")
    bins = np.array_split(order, min(N_BINS, len(order)))
    predicted = np.array([np.sqrt(np.mean(positive[part] ** 2)) for part in bins])
    measured = np.array([np.sqrt(np.mean(errors[part] ** 2)) for part in bins])
    size = np.linalg.norm(errors, axis=1)
    varies = len(size) > 2 and np.ptp(positive) > 0 and np.ptp(size) > 0
    return Reliability(
        n_components=errors.size,
        expected=tuple(expected.tolist()),
        observed=tuple(observed.tolist()),
        miscalibration=float(np.abs(observed - expected).mean()),
        predicted=tuple(predicted.tolist()),
        measured=tuple(measured.tolist()),
        ence=float(np.mean(np.abs(measured - predicted) / predicted)),
        rank_correlation=float(spearmanr(positive, size).statistic) if varies else 0.0,
        rmse=float(np.sqrt(np.mean(errors**2))),
        rms_sigma=float(np.sqrt(np.mean(positive**2))),
    )


def _refuse(raw: NDArray[np.float64], errors: NDArray[np.float64]) -> None:
    if raw.ndim != 1 or errors.shape != (len(raw), 3) or not len(raw):
        shapes = f"{raw.shape}, {errors.shape}"
        msg = f"expected (n,) and (n, 3) of the same atoms, got {shapes}"
        raise UncertaintyError(msg)
    if not (np.isfinite(raw).all() and np.isfinite(errors).all()):
        msg = "expected finite uncertainties and errors, got nan or inf"
        raise UncertaintyError(msg)
    if not raw.max() > 0:
        msg = (
            "expected an uncertainty above zero, got none: do the committee's members "
            "differ? see committee.fraction"
        )
        raise UncertaintyError(msg)
