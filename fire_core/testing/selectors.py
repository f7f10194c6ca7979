"""What holds for every selector.

A test class names its method::

    class TestMine(SelectorContract):
        method = "mine"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from fire_core.config.open_sets import SELECTORS
from fire_core.config.steps import SelectConfig
from fire_core.errors import StructureError
from fire_core.selection.candidates import Selector
from fire_core.selection.selectors import DUPLICATE, select

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.records import Pick


def mixture(n: int = 240, seed: int = 0) -> NDArray[np.float64]:
    """Return points, (n, 3), around centres of very different weight."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 10, (12, 3))
    weights = np.arange(1, 13) ** 2.0
    owner = rng.choice(12, n, p=weights / weights.sum())
    points: NDArray[np.float64] = centres[owner] + rng.normal(0, 1.0, (n, 3))
    return points


class SelectorContract:
    """What holds for every selector.

    Attributes
    ----------
    method
        Its name in `select.method`.
    """

    method: ClassVar[str]

    def pick(
        self, features: NDArray[np.float64], n: int, *, seed: int = 3, **options: Any
    ) -> list[Pick]:
        """Choose `n`; a selector that needs uncertainties gets equal ones."""
        selector: Selector = SELECTORS.load(self.method)
        if selector.needs_uncertainty:
            options.setdefault("uncertainty", np.ones(len(features)))
        config = SelectConfig(method=self.method, n=n)
        return select(features, config, rng_seed=seed, **options)

    @pytest.mark.parametrize("n", [1, 2, 17, 240])
    def test_exactly_n_distinct_in_rank_order(self, n: int) -> None:
        """Exactly n distinct candidates come, by rank."""
        picks = self.pick(mixture(), n)
        assert len({p.index for p in picks}) == n
        assert [p.rank for p in picks] == list(range(n))
        assert all(0 <= p.index < 240 for p in picks)

    def test_cluster_sizes_count_every_candidate_once(self) -> None:
        """Each candidate is represented by one pick."""
        picks = self.pick(mixture(), 12)
        assert sum(p.cluster_size for p in picks) == 240
        assert all(p.cluster_size >= 1 and p.distance >= 0 for p in picks)

    def test_same_seed_same_picks(self) -> None:
        """The same seed gives the same picks."""
        assert self.pick(mixture(), 20) == self.pick(mixture(), 20)

    def test_the_callers_arrays_stay(self) -> None:
        """No array of the caller changes."""
        features = mixture()
        before = features.copy()
        self.pick(features, 5, known=features[:3], allowed=np.ones(240, bool))
        assert np.array_equal(features, before)

    def test_only_allowed_ones(self) -> None:
        """What may not be chosen is not."""
        allowed = np.arange(240) % 3 == 0
        picks = self.pick(mixture(), 80, allowed=allowed)
        assert {p.index for p in picks} == set(range(0, 240, 3))

    def test_permuting_candidates_permutes_picks(self) -> None:
        """The order of the candidates does not matter."""
        features = mixture()
        order = np.random.default_rng(1).permutation(240)
        here = [p.index for p in self.pick(features, 20)]
        there = [int(order[p.index]) for p in self.pick(features[order], 20)]
        assert here == there

    def test_near_duplicates_of_known_are_never_chosen(self) -> None:
        """What is like a labelled structure is never chosen."""
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

    def test_equal_candidates_still_give_n_picks(self) -> None:
        """Where fewer candidates differ than are wanted, n come all the same."""
        features = np.repeat(mixture(6), 10, axis=0)
        picks = self.pick(features, 25)
        assert len({p.index for p in picks}) == 25

    def test_asking_for_too_many_says_why(self) -> None:
        """Where too few are left, the message counts why."""
        features = mixture()
        allowed = np.arange(240) >= 100
        message = (
            r"at least 141 candidates to select from, got 13\d: 240 in all, 100 "
            r"refused by screening, \d+ like a labelled structure; lower select\.n"
        )
        with pytest.raises(StructureError, match=message):
            self.pick(features, 141, allowed=allowed, known=features[238:])

    def test_shapes_that_do_not_fit_are_refused(self) -> None:
        """Arrays that do not fit together are refused."""
        with pytest.raises(StructureError, match=r"known of shape \(any, 3\)"):
            self.pick(mixture(), 2, known=np.zeros((4, 2)))
        with pytest.raises(StructureError, match=r"allowed of shape \(240,\)"):
            self.pick(mixture(), 2, allowed=np.ones(3, bool))

    def test_a_campaign_file_names_it(self) -> None:
        """Its name is a method, and leads to a `Selector`."""
        assert SelectConfig(method=self.method).method == self.method
        assert isinstance(SELECTORS.load(self.method), Selector)

    def test_uncertainty_is_asked_for_where_it_is_needed(self) -> None:
        """Without uncertainties the method that needs them says so."""
        config = SelectConfig(method=self.method, n=3)
        selector: Selector = SELECTORS.load(self.method)
        if not selector.needs_uncertainty:
            assert len(select(mixture(), config, rng_seed=1)) == 3
            return
        with pytest.raises(StructureError, match="needs the uncertainty of each"):
            select(mixture(), config, rng_seed=1)
