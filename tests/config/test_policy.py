"""The campaign's policy as a table of cases."""

from __future__ import annotations

from typing import Any

import pytest

from fire_core.campaign import (
    Action,
    RoundSummary,
    decide,
    last_trained,
    split_keys,
    sub_seed,
)
from fire_core.config.campaign import CampaignConfig
from fire_core.records import Split
from tests.config.test_load import MINIMAL

CONFIG = CampaignConfig.model_validate(MINIMAL | {"rounds": 2})


@pytest.mark.parametrize(
    ("history", "action", "reason"),
    [
        ([], Action.CONTINUE, "nothing"),
        ([(0, 24, 0, 0)], Action.CONTINUE, "round 1 of 2"),
        ([(0, 23, 1, 0)], Action.CONTINUE, "round 1 of 2"),
        ([(0, 0, 24, 0)], Action.STOP, "no finished label"),
        ([(0, 24, 0, 0), (1, 96, 0, 500)], Action.CONTINUE, "round 2 of 2"),
        ([(0, 24, 0, 0), (1, 10, 0, 0)], Action.STOP, "no usable candidate"),
        ([(0, 24, 0, 0), (1, 9, 0, 9), (2, 9, 0, 9)], Action.FINISHED, "2 configured"),
        ([(0, 24, 0, 0), (1, 9, 0, 96, "why")], Action.EXHAUSTED, "was cut: why"),
        ([(0, 0, 0, 24, "no money")], Action.EXHAUSTED, "no money"),
        ([(0, 9, 0, 24, "less money")], Action.CONTINUE, "round 1 of 2"),
    ],
)
def test_decisions(history: list[tuple[Any, ...]], action: Action, reason: str) -> None:
    decision = decide([RoundSummary(*row) for row in history], CONFIG)
    assert decision.action is action
    assert reason in decision.reason


def test_only_a_round_that_fine_tuned_is_judged() -> None:
    first, second, empty = (RoundSummary(n, 9 * (n < 2), 0, 9) for n in range(3))
    assert last_trained([first]) is None
    assert last_trained([first, second, empty]) == 1


def test_a_split_is_the_same_whatever_the_order() -> None:
    keys = [f"{i:064x}" for i in range(50)]
    one = split_keys(keys, 0.1, seed=3)
    assert one == split_keys(keys[::-1], 0.1, seed=3)
    assert sum(s is Split.VALID for s in one.values()) == 5
    assert one != split_keys(keys, 0.1, seed=4)


@pytest.mark.parametrize(("n", "n_valid"), [(1, 0), (2, 1), (3, 1), (24, 2)])
def test_a_small_set_keeps_something_to_train_on(n: int, n_valid: int) -> None:
    split = split_keys([str(i) for i in range(n)], 0.1, seed=0)
    assert sum(s is Split.VALID for s in split.values()) == n_valid


def test_every_step_has_its_own_seed() -> None:
    paths = [("explore", 1), ("explore", 2), ("test", 1), ("train",), ("select", 1)]
    seeds = {sub_seed(CONFIG, *path) for path in paths}
    assert len(seeds) == len(paths)
    other = CONFIG.model_copy(update={"seed": 1})
    assert sub_seed(other, "train") != sub_seed(CONFIG, "train")
