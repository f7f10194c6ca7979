"""The policy of spending: what labels will cost, and how many may be paid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fire_core.config.spending import ApprovalConfig, BudgetConfig

CUBIC: Final = 3.0
"""Exponent of the cost with the number of atoms where past labels show none:
diagonalisation, the asymptotic cost of Kohn–Sham DFT."""
HOUR: Final = 3600.0


class Cost(Protocol):
    """Mean core-seconds of `count` labels of `n_atoms` atoms."""

    @property
    def n_atoms(self) -> int:
        """Atoms of the structures."""

    @property
    def core_seconds(self) -> float:
        """Mean over the labels."""

    @property
    def count(self) -> int:
        """Labels behind the mean."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Labels paid for so far, and their core-seconds."""

    labels: int
    core_seconds: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many labels the budget allows, and what cut them (None: nothing)."""

    n: int
    reason: str | None


def estimate_core_seconds(
    history: Sequence[Cost], n_atoms: Iterable[int]
) -> float | None:
    """Return what labels of the given sizes will take, core-seconds in all.

    A size that was labelled before costs its mean. Another is scaled from the nearest
    one by a power of the number of atoms, fitted where at least three sizes are known
    and `CUBIC` otherwise.

    Returns
    -------
    float | None
        None where no label of the theory has been paid for yet.
    """
    known = {cost.n_atoms: cost.core_seconds for cost in history}
    if not known:
        return None
    exponent = _exponent(history)

    def one(n: int) -> float:
        near = min(known, key=lambda size: (abs(size - n), size))
        return float(known[near] * (n / near) ** exponent)

    return sum(one(n) for n in n_atoms)


def _exponent(history: Sequence[Cost]) -> float:
    if len(history) < 3:
        return CUBIC
    sizes = np.log([cost.n_atoms for cost in history])
    times = np.log([max(cost.core_seconds, 1e-6) for cost in history])
    weights = np.sqrt([cost.count for cost in history])
    slope = float(np.polyfit(sizes, times, 1, w=weights)[0])
    return min(max(slope, 0.0), 2 * CUBIC)


def allow(
    n_wanted: int,
    core_seconds: float | None,
    spent: Spent,
    budget: BudgetConfig,
    reserve: int = 0,
) -> Allowance:
    """Return how many of the wanted labels the budget still pays for.

    Parameters
    ----------
    n_wanted
        Labels that are missing.
    core_seconds
        What all of them will take; None: unknown, and then only what was spent
        already counts.
    spent
        So far.
    budget
        Limits.
    reserve
        Labels to keep back for the test set, without which nothing can be judged.
    """
    limits: list[tuple[int, str]] = []
    if budget.labels is not None:
        left = budget.labels - spent.labels - reserve
        kept = f", {reserve} kept for the test set" if reserve else ""
        why = f"budget.labels = {budget.labels}: {spent.labels} are spent{kept}"
        limits.append((left, why))
    if budget.core_hours is not None:
        left_s = budget.core_hours * HOUR - spent.core_seconds
        why = (
            f"budget.core_hours = {budget.core_hours:g}: "
            f"{spent.core_seconds / HOUR:.3g} are spent"
        )
        if core_seconds and n_wanted:
            each = core_seconds / n_wanted
            why += f", a label takes about {each / HOUR:.2g}"
            limits.append((int(left_s / each) - reserve, why))
        elif left_s <= 0:
            limits.append((0, why))
    for left, why in sorted(limits):
        if left < n_wanted:
            return Allowance(max(left, 0), why)
    return Allowance(n_wanted, None)


def must_ask(
    approval: ApprovalConfig, purpose: str, core_seconds: float | None
) -> bool:
    """Return whether a person decides before these labels are paid for."""
    if approval.ask == "never" or (approval.ask == "selected" != purpose):
        return False
    return core_seconds is None or core_seconds > approval.above_core_hours * HOUR


def batch_size(core_seconds_each: float | None, aim_s: float = 120.0) -> int:
    """Return how many labels make one task: about `aim_s` of work, 1 to 1000.

    A process takes some seconds to start; 25 where nothing is known.
    """
    if core_seconds_each is None:
        return 25
    return max(1, min(1000, int(aim_s / max(core_seconds_each, 1e-3))))
