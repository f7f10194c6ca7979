"""The contract of a selector; a new one inherits it and names its method."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from fire_core.config.steps import SelectConfig
from fire_core.errors import StructureError
from fire_core.selection.selectors import DUPLICATE, select


def mixture(n=240, seed=0):
    """Draw points around centres of very different weight."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 10, (12, 3))
    weights = np.arange(1, 13) ** 2.0
    owner = rng.choice(12, n, p=weights / weights.sum())
    return centres[owner] + rng.normal(0, 1.0, (n, 3))


class SelectorContract:
    """Facts about every selector."""

    method: ClassVar[str]

    def pick(self, features, n, *, seed=3, **options):
        config = SelectConfig(method=self.method, n=n)
        return select(features, config, rng_seed=seed, **options)

    @pytest.mark.parametrize("n", [1, 2, 17, 240])
    def test_exactly_n_distinct_in_rank_order(self, n):
        picks = self.pick(mixture(), n)
        assert len({p.index for p in picks}) == n
        assert [p.rank for p in picks] == list(range(n))
        assert all(0 <= p.index < 240 for p in picks)

    def test_cluster_sizes_count_every_candidate_once(self):
        picks = self.pick(mixture(), 12)
        assert sum(p.cluster_size for p in picks) == 240
        assert all(p.cluster_size >= 1 and p.distance >= 0 for p in picks)

    def test_same_seed_same_picks(self):
        assert self.pick(mixture(), 20) == self.pick(mixture(), 20)

    def test_the_callers_arrays_stay(self):
        features = mixture()
        before = features.copy()
        self.pick(features, 5, known=features[:3], allowed=np.ones(240, bool))
        assert np.array_equal(features, before)

    def test_only_allowed_ones(self):
        allowed = np.arange(240) % 3 == 0
        picks = self.pick(mixture(), 80, allowed=allowed)
        assert {p.index for p in picks} == set(range(0, 240, 3))

    def test_permuting_candidates_permutes_picks(self):
        features = mixture()
        order = np.random.default_rng(1).permutation(240)
        here = [p.index for p in self.pick(features, 20)]
        there = [int(order[p.index]) for p in self.pick(features[order], 20)]
        assert here == there

    def test_near_duplicates_of_known_are_never_chosen(self):
        features = mixture()
        centred = features - features.mean(axis=0)
        spread = np.sqrt(np.mean(np.sum(centred**2, axis=1)))
        known = features[:40] + 0.5 * DUPLICATE * spread / np.sqrt(3)
        taken = {
            i
            for i, point in enumerate(features)
            if np.linalg.norm(known - point, axis=1).min() <= DUPLICATE * spread
        }
        assert set(range(40)) <= taken
        picks = self.pick(features, 240 - len(taken), known=known)
        assert not taken & {p.index for p in picks}

    def test_equal_candidates_still_give_n_picks(self):
        features = np.repeat(mixture(6), 10, axis=0)
        picks = self.pick(features, 25)
        assert len({p.index for p in picks}) == 25

    def test_asking_for_too_many_says_why(self):
        features = mixture()
        allowed = np.arange(240) >= 100
        message = (
            r"at least 141 candidates to select from, got 13\d: 240 in all, 100 "
            r"refused by screening, \d+ like a labelled structure; lower select\.n"
        )
        with pytest.raises(StructureError, match=message):
            self.pick(features, 141, allowed=allowed, known=features[238:])

    def test_shapes_that_do_not_fit_are_refused(self):
        with pytest.raises(StructureError, match=r"known of shape \(any, 3\)"):
            self.pick(mixture(), 2, known=np.zeros((4, 2)))
        with pytest.raises(StructureError, match=r"allowed of shape \(240,\)"):
            self.pick(mixture(), 2, allowed=np.ones(3, bool))
