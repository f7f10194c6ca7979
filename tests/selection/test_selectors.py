"""Every selector keeps the contract and does what it is chosen for."""

from __future__ import annotations

import numpy as np
import pytest

from fire_core.config.open_sets import SELECTORS
from fire_core.config.steps import SelectConfig
from fire_core.errors import StructureError
from fire_core.selection.maxdet import NOISE
from fire_core.selection.selectors import select
from fire_core.testing.selectors import SelectorContract, mixture


class TestKmeans(SelectorContract):
    method = "kmeans"

    def test_picks_lie_nearer_to_all_candidates_than_random_ones(self):
        """The mean squared distance to the nearest pick is K-means' own aim."""
        for seed in range(5):
            features = mixture(seed=seed)
            picks = self.pick(features, 12, seed=seed)
            drawn = TestRandom().pick(features, 12, seed=seed)
            assert _mean_square(features, picks) < 0.8 * _mean_square(features, drawn)

    def test_each_pick_is_a_member_of_its_own_cluster_largest_first(self):
        picks = self.pick(mixture(), 12)
        assert [p.cluster for p in picks] == list(range(12))
        sizes = [p.cluster_size for p in picks]
        assert sizes == sorted(sizes, reverse=True)

    def test_separate_groups_get_one_pick_each(self):
        centres = np.array([[0, 0], [50, 0], [0, 50], [50, 50.0]])
        rng = np.random.default_rng(0)
        features = np.repeat(centres, 25, axis=0) + rng.normal(0, 1, (100, 2))
        picks = self.pick(features, 4)
        assert {p.index // 25 for p in picks} == {0, 1, 2, 3}
        assert {p.cluster_size for p in picks} == {25}


class TestFarthestPoint(SelectorContract):
    method = "farthest_point"

    def test_picks_keep_a_greater_distance_than_random_ones(self):
        for seed in range(5):
            features = mixture(seed=seed)
            picks = self.pick(features, 12, seed=seed)
            drawn = TestRandom().pick(features, 12, seed=seed)
            assert _closest(features, picks) > 2 * _closest(features, drawn)

    def test_distances_fall_and_are_those_to_the_chosen(self):
        features = mixture()
        picks = self.pick(features, 12)
        distances = [p.distance for p in picks[1:]]
        assert distances == sorted(distances, reverse=True)
        assert distances[-1] == pytest.approx(_closest(features, picks))

    def test_it_keeps_away_from_what_is_known(self):
        features = np.array([[0.0, 0], [1, 0], [9, 0], [10, 0], [5, 5]])
        picks = self.pick(features, 2, known=np.array([[10.0, 0.1]]))
        assert [p.index for p in picks] == [0, 4]


class TestRandom(SelectorContract):
    method = "random"

    def test_another_seed_gives_other_picks(self):
        one, two = (self.pick(mixture(), 20, seed=s) for s in (1, 2))
        assert {p.index for p in one} != {p.index for p in two}

    def test_every_candidate_is_equally_likely(self):
        features = mixture(20)
        counts = np.zeros(20)
        for seed in range(600):
            counts[[p.index for p in self.pick(features, 5, seed=seed)]] += 1
        sigma = np.sqrt(600 * 0.25 * 0.75)
        assert counts == pytest.approx(np.full(20, 150.0), abs=4.5 * sigma)


class TestUncertain(SelectorContract):
    method = "uncertain"

    def pick(self, features, n, *, seed=3, **options):
        options.setdefault("uncertainty", 0.1 + np.abs(features[:, 0]))
        return super().pick(features, n, seed=seed, **options)

    def test_picks_go_where_the_model_is_unsure(self):
        features = np.random.default_rng(0).uniform(size=(400, 2))
        unsure = np.where(features[:, 0] > 0.8, 10.0, 0.1)
        picks = self.pick(features, 20, uncertainty=unsure)
        there = sum(features[p.index, 0] > 0.8 for p in picks)
        evenly = self.pick(features, 20, uncertainty=np.ones(400))
        assert there >= 12
        assert sum(features[p.index, 0] > 0.8 for p in evenly) <= 6

    def test_equal_uncertainty_is_plain_kmeans(self):
        plain = TestKmeans().pick(mixture(), 12)
        picks = self.pick(mixture(), 12, uncertainty=np.full(240, 0.3))
        assert {p.index for p in picks} == {p.index for p in plain}

    def test_a_run_without_uncertainties_says_what_to_do(self):
        config = SelectConfig(method="uncertain", n=3)
        with pytest.raises(StructureError, match="got none: the run measured none"):
            select(mixture(), config, rng_seed=3)
        with pytest.raises(StructureError, match="finite and not negative"):
            self.pick(mixture(), 3, uncertainty=np.full(240, -1.0))
        with pytest.raises(StructureError, match="of 240 candidates, got 3"):
            self.pick(mixture(), 3, uncertainty=np.ones(3))


class TestMaxDet(SelectorContract):
    method = "maxdet"

    def test_the_determinant_is_greater_than_that_of_random_ones(self):
        for seed in range(5):
            features = np.random.default_rng(seed).normal(size=(240, 8))
            picks = self.pick(features, 12, seed=seed)
            drawn = TestRandom().pick(features, 12, seed=seed)
            assert _log_det(features, picks) > _log_det(features, drawn) + 3.0

    def test_each_step_takes_the_greatest_determinant_of_all(self):
        features = np.random.default_rng(1).normal(size=(40, 5))
        picks = self.pick(features, 6)
        for n in range(1, 7):
            best = max(range(40), key=lambda i: _log_det(features, picks[: n - 1], i))
            reached = _log_det(features, picks[:n])
            assert reached == pytest.approx(_log_det(features, picks[: n - 1], best))

    def test_a_direction_that_is_labelled_comes_last(self):
        features = np.concatenate([np.eye(4), -np.eye(4)])
        known = np.repeat([[2.0, 0, 0, 0], [-2.0, 0, 0, 0]], 5, axis=0)
        picks = self.pick(features, 8, known=known)
        assert {p.index % 4 for p in picks[:3]} == {1, 2, 3}
        assert {p.index for p in picks[-2:]} == {0, 4}


def test_every_method_of_the_configuration_has_a_selector():
    methods = SelectConfig.model_json_schema()["properties"]["method"]["enum"]
    assert methods == SELECTORS.names()
    for method in methods:
        config = SelectConfig(method=method, n=3)
        picks = select(mixture(), config, rng_seed=0, uncertainty=np.ones(240))
        assert len(picks) == 3


def _mean_square(features, picks):
    chosen = features[[p.index for p in picks]]
    away = np.linalg.norm(features[:, None] - chosen[None], axis=2)
    return np.mean(away.min(axis=1) ** 2)


def _log_det(features, picks, also=None):
    """Report the log determinant of noise and kernel of a choice, centred."""
    centred = features - features.mean(axis=0)
    chosen = [p.index for p in picks] + ([] if also is None else [also])
    noise = NOISE * np.mean(np.sum(centred**2, axis=1))
    kernel = centred[chosen] @ centred[chosen].T
    return np.linalg.slogdet(kernel / noise + np.eye(len(chosen)))[1]


def _closest(features, picks):
    chosen = features[[p.index for p in picks]]
    away = np.linalg.norm(chosen[:, None] - chosen[None], axis=2)
    return away[np.triu_indices(len(chosen), 1)].min()
