"""On how many devices a training runs."""

from __future__ import annotations

import pytest

from fire_core.campaign.steps import train_child
from fire_core.campaign.steps.train_child import count_devices, gpu_of_member
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


@pytest.mark.parametrize(
    ("visible", "gpus", "expected"),
    [
        (None, 2, ["0", "1", "0"]),
        ("2,3", 2, ["2", "3", "2"]),  # Slurm's, of the machine
        (" 5 , 7 ", 2, ["5", "7", "5"]),
        ("0,-1,1", 1, ["0", "0", "0"]),  # CUDA ends at the -1
        ("GPU-8f3a,GPU-11bc", 2, ["GPU-8f3a", "GPU-11bc", "GPU-8f3a"]),
        ("MIG-a,MIG-b", 1, ["MIG-a", "MIG-b", "MIG-a"]),  # one shows in a process
    ],
)
def test_members_take_turns_on_the_gpus_that_were_given(
    visible: str | None, gpus: int, expected: list[str]
) -> None:
    assert [gpu_of_member(k, gpus, visible) for k in (1, 2, 3)] == expected


@pytest.mark.parametrize("visible", ["2,3", "", None])
def test_a_members_process_is_given_one_of_them_or_what_there_was(
    monkeypatch: pytest.MonkeyPatch, visible: str | None
) -> None:
    """Empty: no GPU is to be seen, and torch sees none."""
    if visible is None:
        monkeypatch.delenv(train_child.VISIBLE, raising=False)
    else:
        monkeypatch.setenv(train_child.VISIBLE, visible)
    monkeypatch.setattr(train_child, "count_gpus", lambda: 2 if visible else 0)
    told = train_child.environment_of_member(2)
    assert told == ({train_child.VISIBLE: "3"} if visible else {})
    assert train_child.environment_of_member(None) == {}
