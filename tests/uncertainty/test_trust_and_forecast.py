"""Bands that adapt, and learning curves that are continued."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from fire_core.config.uncertainty import TrustConfig
from fire_core.uncertainty.forecast import CurvePoint, forecast_error
from fire_core.uncertainty.trust import (
    Trust,
    TrustBand,
    adapt_band,
    choose_pool,
)


def test_every_candidate_is_one_of_four_kinds() -> None:
    worst = np.array([0.0, 0.049, 0.05, 0.099, 0.1, 1.0, 1.01, np.inf])
    kinds = [
        *([Trust.TRUSTED] * 2),
        *([Trust.WAITING] * 2),
        *([Trust.CANDIDATE] * 2),
        *([Trust.BEYOND] * 2),
    ]
    assert TrustBand(0.05, 0.1, 1.0).judge(worst).tolist() == kinds


def test_the_lower_level_follows_the_model_down_to_the_target() -> None:
    config = TrustConfig(target=100, focus=0.25, high=1000)
    rng = np.random.default_rng(0)
    worst = rng.uniform(0.0, 1.2, 400)
    levels = []
    for better in (1.0, 2.0, 4.0):
        band = adapt_band(worst / better, config, least=10)
        kinds = band.judge(worst / better)
        between = np.isin(kinds, [Trust.CANDIDATE, Trust.WAITING]).sum()
        assert (kinds == Trust.CANDIDATE).sum() == np.ceil(0.25 * between)
        levels.append(band.low)
    assert levels[0] > levels[1] > levels[2] > 0.1
    assert adapt_band(worst / 1000, config, least=10) == TrustBand(0.1, 0.1, 1.0)


def test_a_round_gets_its_labels_before_the_focus_counts() -> None:
    config = TrustConfig(target=100, focus=0.1, high=1000)
    worst = np.linspace(0.2, 0.9, 30)
    band = adapt_band(worst, config, least=12)
    assert (band.judge(worst) == Trust.CANDIDATE).sum() == 12
    assert adapt_band(worst, config, least=40).low == 0.1


def test_levels_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="high must be above target"):
        TrustConfig(target=300, high=200)


@pytest.mark.parametrize(
    ("worth", "n", "verify", "size"),
    [(30, 20, 8, 30), (5, 20, 8, 8), (0, 20, 8, 8), (0, 3, 8, 3), (5, 3, 8, 5)],
)
def test_trusted_ones_verify_where_few_are_worth_a_label(
    worth: int, n: int, verify: int, size: int
) -> None:
    kinds = np.array(
        [Trust.BEYOND] * 4 + [Trust.CANDIDATE] * worth + [Trust.TRUSTED] * 9
    )
    pool = choose_pool(kinds, n, verify, seed=1)
    assert len(pool) == len(set(pool)) == size
    assert set(range(4, 4 + worth)) <= set(pool.tolist())
    assert Trust.BEYOND not in kinds[pool]
    assert np.array_equal(pool, choose_pool(kinds, n, verify, seed=1))


def law(n: int) -> CurvePoint:
    return CurvePoint(n, 900.0 * n**-0.5)


def test_a_power_law_is_continued() -> None:
    found = forecast_error([law(50), law(100), law(200)], 200)
    assert found is not None
    assert found.exponent == pytest.approx(0.5)
    assert found.prefactor == pytest.approx(900.0)
    assert found.n_labels == 400
    assert found.error == pytest.approx(45.0)
    assert found.gain == pytest.approx(1 - 2**-0.5)
    assert found.exponent_error == pytest.approx(0.0, abs=1e-12)


def test_a_flat_curve_promises_nothing_and_noise_leaves_hope() -> None:
    flat = forecast_error([CurvePoint(50, 80.0), CurvePoint(150, 80.0)], 50)
    assert flat is not None
    assert flat.gain == pytest.approx(0.0, abs=1e-12)
    assert flat.exponent_error is None
    noisy = forecast_error(
        [CurvePoint(50, 80.0), CurvePoint(100, 86.0), CurvePoint(200, 78.0)], 100
    )
    assert noisy is not None
    assert noisy.hoped_gain > noisy.gain
    assert forecast_error([law(50)], 50) is None
    assert forecast_error([law(50), law(50)], 50) is None
