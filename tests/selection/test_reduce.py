"""The PCA map agrees with scikit-learn and with linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from fire_core.errors import StructureError
from fire_core.selection import spool
from fire_core.selection.reduce import fit_pca, fit_pca_in_blocks


def _features(n, d, seed=0):
    rng = np.random.default_rng(seed)
    scales = np.exp(-np.arange(min(n, d)) / 2.0)
    return (rng.normal(size=(n, len(scales))) * scales) @ rng.normal(
        size=(len(scales), d)
    ) + rng.normal(size=d)


@pytest.mark.parametrize("shape", [(60, 30), (30, 60), (620, 640)])
def test_reconstruction_is_scikit_learns(shape):
    features = _features(*shape)
    ours = fit_pca(features, 5, 1.0)
    theirs = PCA(5, svd_solver="full").fit(features)
    expected = theirs.inverse_transform(theirs.transform(features))
    assert ours.reconstruct(ours.project(features)) == pytest.approx(expected, abs=1e-8)
    assert ours.explained_ratio == pytest.approx(theirs.explained_variance_ratio_)


def test_single_precision_features_are_close_enough():
    features = _features(620, 640)
    double = fit_pca(features, 5, 1.0)
    single = fit_pca(features.astype(np.float32), 5, 1.0)
    span = np.ptp(double.project(features))
    away = single.project(features) - double.project(features)
    assert np.abs(away).max() < 1e-4 * span


def test_the_smaller_limit_holds():
    features = _features(60, 30)
    ratios = np.cumsum(fit_pca(features, 30, 1.0).explained_ratio)
    assert len(fit_pca(features, 3, 1.0).components) == 3
    for variance in (0.5, 0.9, 0.99):
        kept = len(fit_pca(features, 30, variance).components)
        assert ratios[kept - 1] >= variance
        assert kept == 1 or ratios[kept - 2] < variance


def test_components_are_orthonormal_with_a_fixed_sign():
    features = _features(60, 30)
    components = fit_pca(features, 6, 1.0).components
    assert components @ components.T == pytest.approx(np.eye(6), abs=1e-12)
    assert np.all(components.max(axis=1) == np.abs(components).max(axis=1))
    order = np.random.default_rng(1).permutation(60)
    again = fit_pca(features[order], 6, 1.0).components
    assert again == pytest.approx(components, abs=1e-8)


def test_q_residual_is_what_projection_loses_and_flags_the_unknown():
    features = _features(60, 30)
    pca = fit_pca(features, 4, 1.0)
    left = features - pca.reconstruct(pca.project(features))
    assert pca.q_residual(features) == pytest.approx(np.sum(left**2, axis=1))
    inside = pca.reconstruct(np.array([[9.0, -4.0, 2.0, 1.0]]))
    assert pca.q_residual(inside) == pytest.approx([0.0], abs=1e-18)
    outside = inside + np.random.default_rng(2).normal(size=30)
    assert pca.q_residual(outside)[0] > 5 * pca.q_residual(features).max()


def test_clear_refusals():
    with pytest.raises(StructureError, match="frames that differ"):
        fit_pca(np.ones((5, 3)), 2, 0.9)
    with pytest.raises(StructureError, match="frames that differ"):
        fit_pca(np.arange(3.0)[None], 2, 0.9)
    with pytest.raises(StructureError, match="finite features"):
        fit_pca(np.array([[1.0, np.nan], [0.0, 1.0]]), 2, 0.9)


@pytest.mark.parametrize("limit", [0, 2**30])
@pytest.mark.parametrize("shape", [(700, 640), (90, 2000), (2000, 90)])
def test_reading_in_blocks_gives_scikit_learns_components(shape, limit, monkeypatch):
    monkeypatch.setattr(spool, "BLOCK_BYTES", 2**18)
    features = _features(*shape).astype(np.float32)
    with spool.FeatureFile(limit) as rows:
        for start in range(0, len(features), 50):
            rows.append(features[start : start + 50])
        ours = fit_pca_in_blocks(rows, 6, 1.0)
    theirs = PCA(6, svd_solver="full").fit(features.astype(np.float64))
    alike = np.abs(np.sum(ours.components * theirs.components_, axis=1))
    assert alike == pytest.approx(np.ones(6), abs=1e-6)
    assert ours.explained_ratio == pytest.approx(
        theirs.explained_variance_ratio_, rel=1e-5
    )
    assert ours.explained_variance == pytest.approx(
        theirs.explained_variance_, rel=1e-5
    )
    held = fit_pca(features, 6, 1.0)
    away = ours.project(features) - held.project(features)
    assert np.abs(away).max() < 1e-3 * np.ptp(held.project(features)[:, 5])


def test_few_features_are_read_at_once():
    features = _features(40, 5).astype(np.float32)
    with spool.FeatureFile(0) as rows:
        rows.append(features)
        ours = fit_pca_in_blocks(rows, 12, 1.0)
    held = fit_pca(features, 12, 1.0)
    assert np.array_equal(ours.components, held.components)


def test_equal_or_broken_frames_are_refused_in_blocks_too():
    for features, message in (
        (np.ones((30, 25)), "frames that differ"),
        (np.full((30, 25), np.nan), "finite features"),
    ):
        with spool.FeatureFile(0) as rows:
            rows.append(features)
            with pytest.raises(StructureError, match=message):
                fit_pca_in_blocks(rows, 3, 1.0)
            with pytest.raises(StructureError, match="features 25 wide, got 4"):
                rows.append(np.ones((2, 4)))
