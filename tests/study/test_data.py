"""The split is by time in each trajectory, and nothing of a test block leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fire_core.config.study import EndBlockConfig
from fire_core.errors import StructureError
from fire_core.study.data import digest_labels, divide_by_time, read_trajectory
from tests.study.conftest import write_frames
from tests.training.conftest import labelled, rattled

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.records import LabelledStructure


FIRST = labelled(rattled("LiF", 10, 1))
SECOND = labelled(rattled("LiCl", 7, 2))


def keys(items: list[LabelledStructure]) -> list[str]:
    return [item.key for item in items]


def test_each_trajectory_gives_its_own_end() -> None:
    frames = divide_by_time([FIRST, SECOND], EndBlockConfig(last=3, gap=1))
    assert keys(frames.test) == keys(FIRST[-3:] + SECOND[-3:])
    assert keys(frames.pool) == keys(FIRST[:6] + SECOND[:3])
    assert (frames.repeats, frames.leaks) == (0, 0)


def test_a_fraction_is_of_each_trajectory() -> None:
    frames = divide_by_time([FIRST, SECOND], EndBlockConfig(fraction=0.3))
    assert keys(frames.test) == keys(FIRST[-3:] + SECOND[-2:])


def test_a_pool_frame_that_stands_in_a_test_block_is_left_out() -> None:
    hidden = [FIRST[0], SECOND[-1], FIRST[1], FIRST[0], *FIRST[2:6]]
    frames = divide_by_time([hidden, SECOND], EndBlockConfig(last=2))
    assert not set(keys(frames.pool)) & set(keys(frames.test))
    assert (frames.repeats, frames.leaks) == (1, 1)
    assert keys(frames.pool)[:2] == [FIRST[0].key, FIRST[1].key]


def test_a_trajectory_too_short_is_named() -> None:
    with pytest.raises(StructureError, match=r"trajectory 2 has 7 frames.*test\.last"):
        divide_by_time([FIRST, SECOND], EndBlockConfig(last=6, gap=1))


def test_reading_keeps_order_numbers_and_every_kth_frame(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "t.extxyz", FIRST)
    assert digest_labels(read_trajectory(path)) == digest_labels(FIRST)
    assert keys(read_trajectory(path, every=4)) == keys(FIRST[::4])


def test_a_frame_without_forces_is_named(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "t.extxyz", FIRST[:2])
    text = (
        path.read_text().replace("energy=", "free=", 2).replace("free=", "energy=", 1)
    )
    path.write_text(text)
    with pytest.raises(StructureError, match=r"frame 1 of .*has forces, stress; exp"):
        read_trajectory(path)


def test_a_damaged_missing_or_unfinite_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match=r"no trajectory at .*data\.path"):
        read_trajectory(tmp_path / "none.extxyz")
    path = write_frames(tmp_path / "t.extxyz", FIRST[:3])
    whole = path.read_text()
    path.write_text(whole[:-400])
    with pytest.raises(StructureError, match=r"cannot be read after frame 2"):
        read_trajectory(path)
    energy = f"energy={float(FIRST[1].label.energy)!r}"
    path.write_text(whole.replace(energy, "energy=nan"))
    with pytest.raises(StructureError, match=r"frame 1 of .*not finite"):
        read_trajectory(path)


def test_the_digest_sees_a_label_and_the_order() -> None:
    again = labelled([item.atoms for item in FIRST])
    assert digest_labels(again) == digest_labels(FIRST)
    again[3].label.forces[0, 0] = np.nextafter(again[3].label.forces[0, 0], 1e3)
    assert digest_labels(again) != digest_labels(FIRST)
    assert digest_labels(FIRST[::-1]) != digest_labels(FIRST)
