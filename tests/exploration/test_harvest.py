"""The saved steps are those that the configuration promises."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fire_core.config.steps import DynamicsConfig
from fire_core.errors import StructureError
from fire_core.exploration.harvest import count_saved, is_saved, spread


@pytest.mark.parametrize("equilibration", [0, 5, 100, 1000, 2000])
@pytest.mark.parametrize("save_every", [1, 5])
def test_count_agrees_with_the_steps(equilibration, save_every):
    config = DynamicsConfig(
        steps=1000, equilibration=equilibration, save_every=save_every
    )
    steps = [s for s in range(config.steps + 1) if is_saved(s, config)]
    assert len(steps) == count_saved(config)
    assert 0 not in steps


def test_default_exploration_gives_two_thousand_candidates():
    config = DynamicsConfig()
    assert config.replicas * count_saved(config) == 2000


def test_spread_is_even_distinct_and_ends_at_the_last():
    assert spread(50, 5) == [9, 19, 29, 39, 49]
    for n in range(1, 41):
        chosen = spread(40, n)
        gaps = {b - a for a, b in pairwise(chosen)}
        assert len(set(chosen)) == n
        assert chosen[-1] == 39
        assert not gaps or max(gaps) - min(gaps) <= 1


def test_spread_refuses_more_than_there_are():
    with pytest.raises(StructureError, match=r"at least 5 frames.*lower evaluate\.n"):
        spread(4, 5)
