"""Prediction rigidity against the linear model whose variance it is."""

from __future__ import annotations

import numpy as np
import pytest

from fire_core.errors import UncertaintyError
from fire_core.uncertainty.last_layer import fit_metric


def test_it_is_the_variance_of_a_linear_model() -> None:
    rng = np.random.default_rng(0)
    train = rng.standard_normal((400, 6)) @ np.diag([3, 2, 1, 1, 0.5, 0.1])
    new = rng.standard_normal((20, 6))
    metric = fit_metric([train[:150], train[150:]])
    weights = np.linalg.pinv(train) @ rng.standard_normal((400, 4000))  # noise, fitted
    sampled = (new @ weights).std(axis=1)
    ratio = sampled * np.sqrt(400) / metric.deviation(new)
    assert np.allclose(ratio, 1.0, atol=0.06)  # 4000 draws: 1.1 % each


def test_scaling_a_feature_changes_nothing_and_new_directions_stand_out() -> None:
    rng = np.random.default_rng(1)
    train = rng.standard_normal((300, 5))
    new = rng.standard_normal((10, 5))
    plain = fit_metric([train]).deviation(new)
    mixing = rng.standard_normal((5, 5)) + 3 * np.eye(5)
    mixed = fit_metric([train @ mixing]).deviation(new @ mixing)
    assert np.allclose(plain, mixed, rtol=1e-3)
    flat = train.copy()
    flat[:, 4] = 0.0
    assert fit_metric([flat]).deviation(np.eye(5)).argmax() == 4


def test_more_data_make_it_smaller_where_they_are() -> None:
    rng = np.random.default_rng(2)
    train = rng.standard_normal((50, 3))
    seen = np.array([[4.0, 0.0, 0.0]])
    near = np.concatenate([train, np.tile(seen, (25, 1))])
    assert fit_metric([near]).deviation(seen) < fit_metric([train]).deviation(seen)


def test_nothing_to_fit_is_refused() -> None:
    with pytest.raises(UncertaintyError, match="got 0 atoms"):
        fit_metric([])
    with pytest.raises(UncertaintyError, match="finite features"):
        fit_metric([np.array([[np.nan, 1.0]])])
