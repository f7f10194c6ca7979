"""A random split of a trajectory leaks; a split by time, or of no trajectory, not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.evaluation.doctor.dataset import Dataset, read_dataset
from fire_core.evaluation.doctor.findings import Finding, Severity
from fire_core.evaluation.doctor.leakage import consecutive_step, examine_leakage
from fire_core.records import Label, LabelledStructure, Problem
from fire_core.structures.content import structure_key

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

LABEL = Label(0.0, np.zeros((32, 3)))


def trajectory(
    n: int, memory: float, *, seed: int = 0, width: float = 0.2
) -> list[Atoms]:
    """Atoms in harmonic wells under overdamped Langevin motion.

    An Ornstein–Uhlenbeck process whose correlation from frame to frame is `memory`;
    0: independent rattled copies. Consecutive frames are √(2 (1 - memory)) × √3 ×
    `width` Å apart (root mean square over the atoms).
    """
    rng = np.random.default_rng(seed)
    perfect = bulk("LiCl", "rocksalt", a=5.1, cubic=True).repeat((2, 2, 1))
    step = rng.normal(0, width, perfect.positions.shape)
    frames = []
    for _ in range(n):
        atoms = perfect.copy()
        atoms.positions += step
        frames.append(atoms)
        kick = rng.normal(0, width, step.shape)
        step = memory * step + np.sqrt(1 - memory**2) * kick
    return frames


def data_of(frames: list[Atoms]) -> Dataset:
    items = [LabelledStructure(structure_key(a), a, LABEL, "") for a in frames]
    return Dataset(items, list(range(len(items))), {}, {})


def split(
    frames: list[Atoms], *, at_random: bool, n_test: int = 20
) -> tuple[Dataset, Dataset]:
    order = np.arange(len(frames))
    if at_random:
        order = np.random.default_rng(1).permutation(order)
    train, test = np.sort(order[:-n_test]), np.sort(order[-n_test:])
    return data_of([frames[i] for i in train]), data_of([frames[i] for i in test])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("memory", "at_random", "expected"),
    [
        (0.97, True, Severity.ERROR),
        (0.97, False, Severity.NOTE),
        (0.0, True, Severity.NOTE),
        (0.0, False, Severity.NOTE),
    ],
)
def test_only_a_random_split_of_a_trajectory_leaks(
    seed: int, memory: float, *, at_random: bool, expected: Severity
) -> None:
    frames = trajectory(100, memory, seed=seed)
    (finding,) = examine_leakage(*split(frames, at_random=at_random))
    assert finding.severity is expected
    if expected is Severity.ERROR:
        assert "blocks of time" in finding.remedy
        assert finding.n_frames >= 12


def test_the_order_of_the_files_does_not_matter() -> None:
    train, test = split(trajectory(100, 0.97), at_random=True)
    (before,) = examine_leakage(train, test)
    order = np.random.default_rng(3).permutation(len(train.items))
    shuffled = data_of([train.items[i].atoms for i in order])
    (after,) = examine_leakage(shuffled, test)
    assert after.n_frames == before.n_frames
    assert "consecutive training frames" in before.what
    assert "consecutive" not in after.what  # nothing to be said of a shuffled file


def test_cold_and_hot_copies_of_a_crystal_do_not_leak() -> None:
    frames = trajectory(50, 0.0, width=0.03) + trajectory(50, 0.0, seed=1, width=0.3)
    (finding,) = examine_leakage(*split(frames, at_random=True))
    assert finding.severity is Severity.NOTE
    assert finding.n_frames == 0


def test_frames_in_both_files_are_an_error() -> None:
    frames = trajectory(40, 0.0)
    image = frames[3].copy()
    image.positions[5] -= image.cell[1]
    image = image[::-1]
    found = examine_leakage(data_of(frames[:30]), data_of([*frames[30:], image]))
    assert found[0].severity is Severity.ERROR
    assert "1 of 11 test frames are in the training set" in found[0].what
    assert found[0].frames == (10,)


def test_a_test_file_with_bad_frames_is_said_to_have_them() -> None:
    test = data_of(trajectory(20, 0.0, seed=1))
    test.refused[20] = Problem("truncated", "expected 34 lines, got 20")
    found = examine_leakage(data_of(trajectory(20, 0.0)), test)
    assert found[0].severity is Severity.WARNING
    assert "1 of 21 test frames cannot be used, for example frame 20" in found[0].what


def test_few_frames_or_other_atoms_are_not_judged() -> None:
    frames = trajectory(6, 0.9)
    (finding,) = examine_leakage(data_of(frames[:4]), data_of(frames[4:]))
    assert "cannot be judged" in finding.what
    other = [a.copy() for a in trajectory(20, 0.9)]
    for atoms in other:
        atoms.symbols[0] = "F"
    (finding,) = examine_leakage(data_of(trajectory(20, 0.9)), data_of(other))
    assert "cannot be judged" in finding.what


def test_the_step_is_that_of_the_process() -> None:
    expected = np.sqrt(2 * (1 - 0.97) * 3) * 0.2
    step = consecutive_step(data_of(trajectory(200, 0.97)))
    assert step == pytest.approx(expected, rel=0.05)
    assert np.isnan(consecutive_step(data_of(trajectory(1, 0.5))))


def test_real_dynamics_split_at_random_and_by_time(shared_data: Path) -> None:
    whole = read_dataset(shared_data / "li6ps5cl" / "600K.extxyz")

    def judge(chosen: np.ndarray) -> Finding:
        frames = [i.atoms for i in whole.items]
        rest = np.setdiff1d(np.arange(len(frames)), chosen)
        (finding,) = examine_leakage(
            data_of([frames[i] for i in rest]), data_of([frames[i] for i in chosen])
        )
        return finding

    random = judge(np.random.default_rng(0).permutation(60)[:12])
    assert (random.severity, random.n_frames) == (Severity.ERROR, 12)
    by_time = judge(np.arange(48, 60))
    assert (by_time.severity, by_time.frames) == (Severity.NOTE, (0,))
