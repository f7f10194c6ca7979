"""The explainer's numbers are those of the points, and its regions are the gaps."""

from __future__ import annotations

import numpy as np
import pytest

from fire_core.config.steps import SelectConfig
from fire_core.records import Pick
from fire_core.selection.explain import explain
from fire_core.selection.selectors import select


def _blobs():
    """Four groups of very different size, far from each other."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [40, 0], [-40, 0], [40, 40.0]])
    sizes = [200, 60, 30, 10]
    return np.concatenate(
        [c + rng.normal(0, 1, (n, 2)) for c, n in zip(centres, sizes, strict=True)]
    )


def test_each_pick_has_the_distances_of_its_point():
    points = _blobs()
    known = points[[3, 210]] + 0.5
    picks = select(points, SelectConfig(n=4), rng_seed=1, known=known)
    residuals = np.arange(300.0)
    found = explain(points, known, picks, residuals)
    unit = np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1)))
    assert found.unit == pytest.approx(unit)
    assert [reason.rank for reason in found.picks] == [0, 1, 2, 3]
    for reason, pick in zip(found.picks, picks, strict=True):
        nearest = np.linalg.norm(known - points[pick.index], axis=1).min()
        assert reason.labelled_distance == pytest.approx(nearest / unit)
        assert reason.centre_distance == pytest.approx(pick.distance / unit)
        assert reason.cluster_size == pick.cluster_size
        expected = residuals[pick.index] / np.percentile(residuals, 95)
        assert reason.q_ratio == pytest.approx(expected)


def test_what_is_left_out_is_found_and_counted():
    points = _blobs()
    picks = [Pick(0, 0, -1, 1, 0.0), Pick(205, 1, -1, 1, 0.0)]
    found = explain(points, points[:0], picks, np.zeros(300), n_regions=2)
    assert found.before is None
    missing = [set(range(260, 290)), set(range(290, 300))]
    assert sorted(len(region.members) for region in found.regions) == [10, 30]
    for region in found.regions:
        assert set(region.members.tolist()) in missing
        assert region.example in region.members
        assert region.distance * found.unit > 35.0
    assert found.regions[0].distance >= found.regions[1].distance
    assert found.after.largest == pytest.approx(found.regions[0].distance)


def test_more_picks_cover_more_and_all_of_them_leave_nothing():
    points = _blobs()
    known = points[:1]
    coverages = []
    for n in (2, 8, 32):
        picks = select(points, SelectConfig(n=n), rng_seed=0, known=known)
        found = explain(points, known, picks, np.ones(300))
        assert found.before is not None
        assert found.after.mean < found.before.mean
        coverages.append(found.after)
    means = [coverage.mean for coverage in coverages]
    assert means == sorted(means, reverse=True)
    every = [Pick(i, i, -1, 1, 0.0) for i in range(300)]
    found = explain(points, known, every, np.ones(300))
    assert found.regions == []
    assert found.after.largest == 0.0
