"""Which epoch of a training is kept, and when it need not go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.config.training import StoppingConfig
    from fire_core.records import EpochRecord


def choose_epoch(
    records: Sequence[EpochRecord], stopping: StoppingConfig, start: float | None
) -> int:
    """Return the index of the epoch to keep.

    Of the epochs whose forgetting is within `max_forgetting` times `start`, the one
    with the lowest validation error of the target; where none is, the one that has
    forgotten least.

    Parameters
    ----------
    records
        At least one epoch.
    stopping
        Bounds.
    start
        Force MAE of the foundation model on the held-out pre-training data, meV/Å;
        None when forgetting is not measured.
    """
    within = [i for i, r in enumerate(records) if _is_within(r, stopping, start)]
    if not within:
        return min(range(len(records)), key=lambda i: _forgetting(records[i]))
    return min(within, key=lambda i: target_error(records[i], records[0]))


def is_over(
    records: Sequence[EpochRecord], stopping: StoppingConfig, start: float | None
) -> bool:
    """Return whether no better epoch has come for `patience` epochs."""
    if len(records) <= stopping.patience:
        return False
    return len(records) - 1 - choose_epoch(records, stopping, start) >= (
        stopping.patience
    )


def target_error(record: EpochRecord, first: EpochRecord) -> float:
    """Return energy and force RMSE on the target, each relative to the first epoch's.

    The two have different units; relative to where training began they weigh alike.
    """
    pairs = (
        (record.valid.force_rmse, first.valid.force_rmse),
        (record.valid.energy_rmse, first.valid.energy_rmse),
    )
    return sum(now / max(before, 1e-9) for now, before in pairs) / 2


def _is_within(
    record: EpochRecord, stopping: StoppingConfig, start: float | None
) -> bool:
    if start is None or record.forgetting_force_mae is None:
        return True
    return record.forgetting_force_mae <= stopping.max_forgetting * start


def _forgetting(record: EpochRecord) -> float:
    return record.forgetting_force_mae or 0.0
