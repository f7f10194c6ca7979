"""Screening refuses what would waste a label and says why."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from fire_core.config.steps import ScreenConfig
from fire_core.errors import StructureError
from fire_core.selection.screen import screen


def test_each_fault_is_named_and_the_sound_frame_passes():
    sound = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    near = sound.copy()
    near.positions[1] = near.positions[0] + [0.8, 0, 0]
    broken = sound.copy()
    broken.positions[3] = np.nan
    calm = np.zeros((8, 3))
    hard = calm.copy()
    hard[2] = [20.0, 20.0, 20.0]  # 34.6 eV/Å in all, less in each component
    lost = np.full((8, 3), np.nan)
    frames = [sound, near, broken, sound, sound]
    found = screen(frames, ScreenConfig(), [calm, calm, calm, hard, lost])
    assert found[0] is None
    assert [p.kind for p in found[1:]] == [
        "overlap",
        "not_finite",
        "large_force",
        "large_force",
    ]
    assert "34.6 eV/Å, expected at most 30.0" in found[3].detail
    assert [p is None for p in screen(frames, ScreenConfig())] == [
        True,
        False,
        False,
        True,
        True,
    ]


def test_forces_must_belong_to_the_frames():
    with pytest.raises(StructureError, match="forces of 1 frames, got those of 2"):
        screen([bulk("Li")], ScreenConfig(), [np.zeros((1, 3))] * 2)
