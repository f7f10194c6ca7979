"""The campaign's policy as a table of cases."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fire_core.campaign.names import sub_seed
from fire_core.campaign.policy import Action, RoundSummary, decide, last_trained
from fire_core.config.campaign import CampaignConfig
from fire_core.records import Split
from fire_core.seeds import split_keys
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


LED = CampaignConfig.model_validate(
    MINIMAL
    | {
        "rounds": 6,
        "uncertainty": {"method": "last_layer", "min_gain": 0.1},
        "select": {"n": 100},
    }
)


def led(*errors: float, trusted: float = 0.5, surprise: float = 1.0) -> Any:
    """Return a history of rounds of 100 labels with these validation errors."""
    later = [
        RoundSummary(n + 1, 100, 0, 100, None, trusted, surprise, error)
        for n, error in enumerate(errors)
    ]
    return [RoundSummary(0, 24, 0, 0, error=1.0), *later]


@pytest.mark.parametrize(
    ("history", "action", "reason"),
    [
        (led(90.0), Action.CONTINUE, "round 2 of 6"),
        (led(90.0, trusted=0.96), Action.CONVERGED, "96 % of round 1's candidates"),
        (led(90.0, trusted=0.96, surprise=1.6), Action.CONTINUE, "round 2"),
        (led(90.0, 64.0, 52.0), Action.CONTINUE, "round 4"),  # error ∝ labels^-1/2
        (led(90.0, 89.0, 88.5), Action.NOT_WORTH_IT, "min_gain is 10.0 %"),
        (led(90.0, 89.0), Action.CONTINUE, "round 3"),  # two points prove nothing
        (led(90.0, 60.0, 70.0), Action.CONTINUE, "round 4"),  # noise leaves hope
        ([*led(90.0), RoundSummary(2, 0, 0, 0, None, 0.0)], Action.EXHAUSTED, "beyond"),
        (led(*[90.0 * 0.8**n for n in range(6)]), Action.EXHAUSTED, "50 % of the"),
    ],
)
def test_rounds_led_by_uncertainty(history: Any, action: Action, reason: str) -> None:
    decision = decide(history, LED)
    assert decision.action is action, decision.reason
    assert reason in decision.reason
    without = decide(history, CONFIG)
    assert without.action in {Action.CONTINUE, Action.FINISHED, Action.EXHAUSTED}


def test_a_committee_of_one_has_no_spread() -> None:
    wrong = {"uncertainty": {"method": "committee"}, "committee": {"members": 1}}
    with pytest.raises(ValidationError, match=r"members of 2 or more, got 1"):
        CampaignConfig.model_validate(MINIMAL | wrong)


def test_a_guard_by_uncertainty_wants_something_that_says_it() -> None:
    wrong = {"explore": {"guards": {"max_uncertainty": 0.5}}}
    with pytest.raises(ValidationError, match="nothing says how uncertain"):
        CampaignConfig.model_validate(MINIMAL | wrong)
    led_by = {"uncertainty": {"method": "last_layer"}}
    assert CampaignConfig.model_validate(MINIMAL | wrong | led_by)


def test_a_choice_by_uncertainty_wants_something_that_says_it() -> None:
    wrong = {"select": {"method": "uncertain"}}
    with pytest.raises(ValidationError, match="uncertain wants uncertainties"):
        CampaignConfig.model_validate(MINIMAL | wrong)
    led_by = {"uncertainty": {"method": "last_layer"}}
    assert CampaignConfig.model_validate(MINIMAL | wrong | led_by)


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
