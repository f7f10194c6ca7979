"""The epoch that is kept is good on the target and has forgotten little."""

from __future__ import annotations

import pytest

from fire_core.config.training import StoppingConfig
from fire_core.records import EpochRecord, ErrorSummary
from fire_core.training.stopping import choose_epoch, is_over

STOPPING = StoppingConfig(patience=2, max_forgetting=1.1)


def record(
    epoch: int, force: float, forgetting: float | None, energy: float = 1.0
) -> EpochRecord:
    valid = ErrorSummary(1, 1, energy, energy, force, force, force)
    return EpochRecord(epoch, 0.1, valid, forgetting, 1e-3, 1, 1, "", 1.0)


@pytest.mark.parametrize(
    ("pairs", "kept"),
    [
        ([(50, 100), (40, 105), (45, 100)], 1),  # the best on the target
        ([(50, 100), (40, 115), (45, 108)], 2),  # the best has forgotten too much
        ([(50, 130), (40, 120), (45, 125)], 1),  # all have: the least
        ([(50, None), (40, None), (45, None)], 1),  # forgetting not measured
    ],
)
def test_the_kept_epoch(pairs: list[tuple[float, float | None]], kept: int) -> None:
    records = [record(i, f, g) for i, (f, g) in enumerate(pairs)]
    start = None if pairs[0][1] is None else 100.0
    assert choose_epoch(records, STOPPING, start) == kept


def test_energy_counts_as_much_as_force() -> None:
    records = [record(0, 50, 100, 2.0), record(1, 49, 100, 4.0), record(2, 51, 100, 1)]
    assert choose_epoch(records, STOPPING, 100.0) == 2


def test_it_ends_when_nothing_better_came_for_the_patience() -> None:
    forces = [50, 40, 45, 44]
    records = [record(i, f, 100) for i, f in enumerate(forces)]
    assert [is_over(records[:n], STOPPING, 100.0) for n in (1, 2, 3, 4)] == [
        False, False, False, True,
    ]  # fmt: skip
