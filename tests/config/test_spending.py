"""What labels will cost, and how many a budget pays for: a table of cases."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fire_core.campaign.pricing import (
    Spent,
    allow,
    batch_size,
    estimate_core_seconds,
    must_ask,
)
from fire_core.config.spending import ApprovalConfig, BudgetConfig


@dataclass(frozen=True)
class Cost:
    n_atoms: int
    core_seconds: float
    count: int = 10


def test_a_known_size_costs_its_mean_and_an_unknown_one_is_scaled() -> None:
    one = [Cost(10, 100.0)]
    assert estimate_core_seconds(one, [10, 10]) == 200.0
    assert estimate_core_seconds(one, [20]) == pytest.approx(800.0)  # cubic
    linear = [Cost(n, 5.0 * n) for n in (10, 20, 40)]
    assert estimate_core_seconds(linear, [80]) == pytest.approx(400.0)
    assert estimate_core_seconds([], [10]) is None


@pytest.mark.parametrize(
    ("budget", "spent", "seconds", "reserve", "n", "reason"),
    [
        ({}, Spent(900, 1e9), 1e9, 24, 96, None),
        ({"labels": 200}, Spent(24, 0), None, 24, 96, None),
        ({"labels": 100}, Spent(24, 0), None, 24, 52, "24 are spent, 24 kept"),
        ({"labels": 20}, Spent(24, 0), None, 0, 0, "budget.labels = 20: 24 are"),
        ({"core_hours": 1}, Spent(0, 1800), 9600.0, 0, 18, "about 0.028"),
        ({"core_hours": 1}, Spent(0, 3600), None, 0, 0, "budget.core_hours = 1: 1 are"),
        ({"core_hours": 1}, Spent(0, 3000), None, 0, 96, None),
        ({"core_hours": 1, "labels": 99}, Spent(0, 1800), 9600.0, 0, 18, "core_hours"),
    ],
)
def test_what_a_budget_allows(
    budget: dict[str, float],
    spent: Spent,
    seconds: float | None,
    reserve: int,
    n: int,
    reason: str | None,
) -> None:
    found = allow(96, seconds, spent, BudgetConfig.model_validate(budget), reserve)
    assert found.n == n
    assert (found.reason is None) == (reason is None)
    assert reason is None or reason in str(found.reason)


@pytest.mark.parametrize(
    ("ask", "above", "purpose", "seconds", "asked"),
    [
        ("never", 0, "selected", None, False),
        ("selected", 0, "selected", 1.0, True),
        ("selected", 0, "perturb", 1.0, False),
        ("always", 0, "perturb", 1.0, True),
        ("always", 1, "test", 3599.0, False),
        ("always", 1, "test", 3601.0, True),
        ("always", 1, "test", None, True),
    ],
)
def test_when_a_person_is_asked(
    ask: str, above: float, purpose: str, seconds: float | None, asked: bool
) -> None:
    config = ApprovalConfig.model_validate({"ask": ask, "above_core_hours": above})
    assert must_ask(config, purpose, seconds) is asked


@pytest.mark.parametrize(
    ("seconds", "size"), [(None, 25), (0.0, 1000), (1.0, 120), (7200.0, 1)]
)
def test_a_batch_is_some_minutes_of_work(seconds: float | None, size: int) -> None:
    assert batch_size(seconds) == size
