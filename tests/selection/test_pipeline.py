"""The way from features to points is the same in memory and through a file."""

from __future__ import annotations

import numpy as np
import pytest

from fire_core.config.steps import SelectConfig
from fire_core.selection.pipeline import reduce_features
from fire_core.selection.reduce import fit_pca


def _features(n, width, seed=0):
    rng = np.random.default_rng(seed)
    scales = np.exp(-np.arange(12) / 2.0)
    low = (rng.normal(size=(n, 12)) * scales) @ rng.normal(size=(12, width))
    return (low + rng.normal(size=width)).astype(np.float32)


def _in_blocks(features):
    return (features[i : i + 32] for i in range(0, len(features), 32))


def test_memory_changes_the_way_and_not_the_result(tmp_path):
    features = _features(400, 1500)  # 2.3 MiB
    known = features[:7] + np.float32(0.01)
    results = []
    for memory in (1, 64):
        config = SelectConfig(pca_components=5, memory_mib=memory)
        blocks = _in_blocks(features), _in_blocks(known)
        results.append(reduce_features(*blocks, config, tmp_path))
    filed, held = results
    pca = fit_pca(features, 5, 0.999)
    assert held.points == pytest.approx(pca.project(features), abs=1e-6)
    assert held.known == pytest.approx(pca.project(known), abs=1e-6)
    assert held.q_residuals == pytest.approx(pca.q_residual(features), rel=1e-3)
    span = np.ptp(held.points[:, -1])
    assert np.abs(filed.points - held.points).max() < 1e-3 * span
    assert np.abs(filed.known - held.known).max() < 1e-3 * span
    assert filed.q_residuals == pytest.approx(held.q_residuals, rel=1e-2)
    assert list(tmp_path.iterdir()) == []


def test_without_anything_labelled_known_is_empty():
    features = _features(60, 50)
    reduced = reduce_features(_in_blocks(features), (), SelectConfig())
    assert reduced.known.shape == (0, reduced.points.shape[1])
    assert len(reduced.points) == 60
