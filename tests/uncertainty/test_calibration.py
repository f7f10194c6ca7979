"""Calibration against errors whose distribution is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import norm

from fire_core.errors import UncertaintyError
from fire_core.records import Label
from fire_core.uncertainty.calibration import Calibration, assess, fit_calibration
from fire_core.uncertainty.committee import force_spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

N = 4000


def draw(
    scale: float, exponent: float, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return raw uncertainties and normal errors of width scale × raw^exponent."""
    rng = np.random.default_rng(seed)
    raw = np.exp(rng.normal(-3.0, 0.8, N))
    width = scale * raw**exponent
    return raw, width[:, None] * rng.standard_normal((N, 3))


@pytest.mark.parametrize(("scale", "exponent"), [(2.5, 1.0), (0.4, 0.6), (1.0, 1.4)])
def test_the_law_that_made_the_errors_is_found(scale: float, exponent: float) -> None:
    found = fit_calibration(*draw(scale, exponent))
    # standard error of a: a/√(6N); of b: 1/(s √(6N)) with s = 0.8
    error = 1 / (0.8 * np.sqrt(6 * N))
    assert found.exponent == pytest.approx(exponent, abs=5 * error)
    sigma = found.apply(np.array([np.exp(-3.0)]))
    assert sigma[0] == pytest.approx(scale * np.exp(-3.0 * exponent), rel=0.03)


def test_with_few_atoms_uncertainty_is_proportional() -> None:
    raw, errors = draw(2.0, 0.5)
    found = fit_calibration(raw[:100], errors[:100])
    assert found.exponent == 1.0
    z = errors[:100] / found.apply(raw[:100])[:, None]
    assert np.mean(z**2) == pytest.approx(1.0, rel=1e-6)  # the best scale's property


def test_a_chance_agreement_of_members_does_not_rule_the_fit() -> None:
    raw, errors = draw(2.0, 1.0)
    spoilt = raw.copy()
    spoilt[:10] *= 1e-6
    usual = np.quantile(raw, [0.25, 0.5, 0.75])
    there = fit_calibration(spoilt, errors).apply(usual)
    assert np.allclose(there, fit_calibration(raw, errors).apply(usual), rtol=0.2)


def test_true_widths_are_calibrated_and_false_ones_are_not() -> None:
    raw, errors = draw(1.0, 1.0)
    true = assess(raw, errors)
    # 3N independent errors: an observed fraction errs by at most 0.5/√(3N)
    assert true.miscalibration < 3 * 0.5 / np.sqrt(3 * N)
    assert true.ence < 0.1
    assert true.rmse == pytest.approx(true.rms_sigma, rel=0.05)
    assert true.rank_correlation > 0.4
    halved = assess(0.5 * raw, errors)
    expected = np.array(halved.expected)
    exact = 2 * norm.cdf(0.5 * norm.ppf(0.5 * (1 + expected))) - 1
    assert np.allclose(halved.observed, exact, atol=0.02)
    assert halved.ence == pytest.approx(1.0, abs=0.15)
    shuffled = assess(np.random.default_rng(1).permutation(raw), errors)
    assert abs(shuffled.rank_correlation) < 0.08


def test_what_cannot_be_calibrated_is_refused() -> None:
    raw, errors = draw(1.0, 1.0)
    with pytest.raises(UncertaintyError, match=r"of the same atoms, got \(3,\)"):
        fit_calibration(raw[:3], errors[:4])
    with pytest.raises(UncertaintyError, match="finite uncertainties"):
        fit_calibration(np.array([np.nan]), np.zeros((1, 3)))
    with pytest.raises(UncertaintyError, match="do the committee's members differ"):
        fit_calibration(np.zeros(5), errors[:5])


def test_without_a_fit_the_raw_value_stays() -> None:
    raw = np.array([0.1, 0.3])
    assert np.array_equal(Calibration().apply(raw), raw)


def test_the_spread_of_normal_members_is_their_width_and_turns_with_them() -> None:
    rng = np.random.default_rng(3)
    noise = 0.2 * rng.standard_normal((6, 5000, 3))
    base = rng.standard_normal((5000, 3))
    members = [[Label(0.0, base + part)] for part in noise]
    (spread,) = force_spread(members)
    assert np.mean(spread**2) == pytest.approx(0.04, rel=0.03)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    turned = [[Label(0.0, labels[0].forces @ turn.T)] for labels in members]
    assert np.allclose(force_spread(turned)[0], spread)
    shifted = [[Label(5.0, labels[0].forces + 1.0)] for labels in members]
    assert np.allclose(force_spread(shifted)[0], spread)
    with pytest.raises(UncertaintyError, match="at least two members"):
        force_spread(members[:1])
