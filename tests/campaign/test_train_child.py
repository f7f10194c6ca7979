"""On how many devices a training runs."""

from __future__ import annotations

import pytest

from fire_core.campaign.steps import train_child
from fire_core.campaign.steps.train_child import count_devices
from fire_core.errors import TrainingError


@pytest.mark.parametrize(
    ("wanted", "device", "gpus", "expected"),
    [
        (1, "auto", 0, 1),
        (0, "auto", 0, 1),
        (2, "auto", 0, 2),
        (0, "auto", 3, 3),
        (2, "cuda", 3, 2),
        (0, "cpu", 3, 1),  # told to leave the GPUs alone
    ],
)
def test_as_many_as_wanted_or_every_gpu(
    monkeypatch: pytest.MonkeyPatch, wanted: int, device: str, gpus: int, expected: int
) -> None:
    monkeypatch.setattr(train_child, "count_gpus", lambda: gpus)
    monkeypatch.setattr(train_child, "available_cores", lambda: 2)
    assert count_devices(wanted, device) == expected


@pytest.mark.parametrize(
    ("wanted", "gpus", "what"),
    [(4, 3, "this machine has 3 GPUs"), (3, 0, "has 2 cores and no GPU")],
)
def test_more_than_there_are_is_refused(
    monkeypatch: pytest.MonkeyPatch, wanted: int, gpus: int, what: str
) -> None:
    monkeypatch.setattr(train_child, "count_gpus", lambda: gpus)
    monkeypatch.setattr(train_child, "available_cores", lambda: 2)
    with pytest.raises(TrainingError, match=what):
        count_devices(wanted, "auto")
