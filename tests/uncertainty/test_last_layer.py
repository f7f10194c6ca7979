"""Prediction rigidity against the linear model whose variance it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase import Atoms

from fire_core.errors import UncertaintyError
from fire_core.records import Label, LabelledStructure
from fire_core.uncertainty.estimate import build_last_layer
from fire_core.uncertainty.last_layer import RIDGES, sum_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def test_it_is_the_variance_of_a_linear_model() -> None:
    rng = np.random.default_rng(0)
    train = rng.standard_normal((400, 6)) @ np.diag([3, 2, 1, 1, 0.5, 0.1])
    new = rng.standard_normal((20, 6))
    metric = sum_features([train[:150], train[150:]]).metric(1e-9)
    weights = np.linalg.pinv(train) @ rng.standard_normal((400, 4000))  # noise, fitted
    sampled = (new @ weights).std(axis=1)
    ratio = sampled * np.sqrt(400) / metric.deviation(new)
    assert np.allclose(ratio, 1.0, atol=0.06)  # 4000 draws: 1.1 % each


def test_scaling_a_feature_changes_nothing_and_new_directions_stand_out() -> None:
    rng = np.random.default_rng(1)
    train = rng.standard_normal((300, 5))
    new = rng.standard_normal((10, 5))
    plain = sum_features([train]).metric(1e-9).deviation(new)
    mixing = rng.standard_normal((5, 5)) + 3 * np.eye(5)
    mixed = sum_features([train @ mixing]).metric(1e-9).deviation(new @ mixing)
    assert np.allclose(plain, mixed, rtol=1e-3)
    flat = train.copy()
    flat[:, 4] = 0.0
    assert sum_features([flat]).metric(1e-6).deviation(np.eye(5)).argmax() == 4


def test_more_data_make_it_smaller_where_they_are() -> None:
    rng = np.random.default_rng(2)
    train = rng.standard_normal((50, 3))
    seen = np.array([[4.0, 0.0, 0.0]])
    near = np.concatenate([train, np.tile(seen, (25, 1))])
    assert sum_features([near]).metric(1e-9).deviation(seen) < sum_features(
        [train]
    ).metric(1e-9).deviation(seen)


def test_nothing_to_fit_is_refused() -> None:
    with pytest.raises(UncertaintyError, match="got 0 atoms"):
        sum_features([])
    with pytest.raises(UncertaintyError, match="finite features"):
        sum_features([np.array([[np.nan, 1.0]])])


class Linear:
    """A linear model on given features, whose forces err by its own rigidity."""

    def __init__(
        self, features: NDArray[np.float64], errors: NDArray[np.float64]
    ) -> None:
        self.features, self.errors = features, errors

    predictions = 0

    def predict(self, frames: Sequence[Atoms]) -> list[Label]:
        self.predictions += 1
        return [Label(0.0, self.errors)]

    def atom_features(self, frames: Sequence[Atoms]) -> list[NDArray[np.float64]]:
        return [self.features]


@pytest.mark.parametrize("ridge", RIDGES)
def test_the_regulariser_that_explains_the_errors_is_taken(ridge: float) -> None:
    rng = np.random.default_rng(4)
    scales = np.diag(np.logspace(0, -4, 8))
    summed = sum_features([rng.standard_normal((300, 8)) @ scales])
    features = rng.standard_normal((3000, 8)) @ np.sqrt(scales)
    sigma = summed.metric(ridge).deviation(features)
    errors = 0.3 * sigma[:, None] * rng.standard_normal((3000, 3))
    atoms = Atoms("H", cell=[9, 9, 9])
    known = [LabelledStructure("k", atoms, Label(0.0, np.zeros((3000, 3))), "t")]
    found = build_last_layer(Linear(features, errors), summed, known)
    assert np.allclose(found.metric.deviation(features), sigma)
    model = found.model
    assert isinstance(model, Linear)
    before = model.predictions
    assert np.allclose(found.deviations([atoms])[0], sigma)
    assert model.predictions == before  # dynamics has the forces already
