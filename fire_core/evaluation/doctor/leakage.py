"""Test frames that the training set gives away: equal or next in a trajectory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.evaluation.doctor.distances import (
    SAME,
    embed,
    group_alike,
    pair_distances,
)
from fire_core.evaluation.doctor.duplicates import group_near
from fire_core.evaluation.doctor.findings import (
    Finding,
    FindingKind,
    Severity,
    first_frames,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.evaluation.doctor.dataset import Dataset

    Array = NDArray[np.float64]

QUANTILE: Final = 0.25
"""Of a frame's distances to all frames like it: what is typical around it."""
ADJACENT: Final = 0.5
"""A nearest training frame below this fraction of what is typical is adjacent."""
LEAST_FRAMES: Final = 8
"""Frames of one kind needed to say what is typical."""
SOME: Final = 0.15
MANY: Final = 0.3
"""Shares of adjacent test frames that make a warning and an error. Of a split by time,
only the frames next to the cut are adjacent."""


def examine_leakage(train: Dataset, test: Dataset) -> list[Finding]:
    """Find test frames equal to, or adjacent in time to, training frames.

    Time itself is not in the files. In a trajectory a frame's neighbours in time are
    far nearer than frames at other times, whatever the order of the files; in sets
    that are not trajectories no frame is much nearer than many others.
    """
    nearest, typical = _nearest_and_typical(train, test)
    equal = _is_shared(train, test)
    judged = np.isfinite(typical)
    adjacent = judged & ~equal & (nearest < ADJACENT * typical)
    found = _examine_refused(test)
    if equal.any():
        found.append(
            Finding(
                FindingKind.LEAKAGE,
                Severity.ERROR,
                f"{equal.sum()} of {len(equal)} test frames are in the training set "
                f"(within {SAME:g} Å)",
                "take them out of one of the two files",
                first_frames(test.numbers[i] for i in np.flatnonzero(equal)),
                int(equal.sum()),
            )
        )
    if not judged.any():
        what = (
            f"leakage cannot be judged: fewer than {LEAST_FRAMES} frames in the two "
            "files have the same atoms in the same order as a test frame"
        )
        return [*found, Finding(FindingKind.LEAKAGE, Severity.NOTE, what)]
    return [*found, _describe(adjacent, judged, nearest, typical, train, test)]


def _describe(
    adjacent: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    nearest: Array,
    typical: Array,
    train: Dataset,
    test: Dataset,
) -> Finding:
    share = adjacent.sum() / judged.sum()
    severity = Severity.NOTE
    if share > SOME and adjacent.sum() > 1:
        severity = Severity.ERROR if share >= MANY else Severity.WARNING
    step = consecutive_step(train)
    near = float(np.median(nearest[judged & np.isfinite(nearest)]))
    usual = float(np.median(typical[judged & np.isfinite(typical)]))
    what = (
        f"{adjacent.sum()} of {judged.sum()} test frames judged lie next to a training "
        f"frame, as neighbours in time do: nearest {near:.3f} Å away (median), while "
        f"{usual:.3f} Å is usual among such frames"
    )
    if step < ADJACENT * usual:  # else that file is no trajectory in order of time
        within = int((nearest[judged] <= step).sum())
        what += f"; {within} no farther than consecutive training frames ({step:.3f} Å)"
    remedy = ""
    if severity is not Severity.NOTE:
        remedy = (
            "split the trajectory by blocks of time, and leave a gap at the cut; "
            "errors on such a test set say how well the model remembers"
        )
    elif adjacent.any():
        remedy = "few enough; a gap at the cut between the sets would leave them out"
    return Finding(
        FindingKind.LEAKAGE,
        severity,
        what,
        remedy,
        first_frames(test.numbers[i] for i in np.flatnonzero(adjacent)),
        int(adjacent.sum()),
        {
            "share_adjacent": float(share),
            "nearest_angstrom": near,
            "typical_angstrom": usual,
        },
    )


def _examine_refused(test: Dataset) -> list[Finding]:
    if not test.refused:
        return []
    number, problem = next(iter(test.refused.items()))
    return [
        Finding(
            FindingKind.UNREADABLE,
            Severity.WARNING,
            f"{len(test.refused)} of {test.n_frames} test frames cannot be used, for "
            f"example frame {number}: {problem.detail}",
            "examine the test file by itself with fire doctor",
            first_frames(test.refused),
            len(test.refused),
        )
    ]


def _is_shared(train: Dataset, test: Dataset) -> NDArray[np.bool_]:
    """Return for each test frame whether it is in the training set, (n_test,)."""
    shared = np.zeros(len(test.items), bool)
    frames = [item.atoms for item in (*test.items, *train.items)]
    for group in group_near(frames):
        if max(group) >= len(shared):
            shared[[i for i in group if i < len(shared)]] = True
    return shared


def consecutive_step(data: Dataset) -> float:
    """Return the median distance of consecutive frames of one kind, Å; NaN if none."""
    frames = [item.atoms for item in data.items]
    steps: list[Array] = []
    for group in group_alike(frames):
        points = embed([frames[i] for i in group])
        steps.append(np.linalg.norm(np.diff(points, axis=0), axis=1))
    every = np.concatenate(steps) if steps else np.empty(0)
    return float(np.median(every)) if len(every) else float("nan")


def _nearest_and_typical(train: Dataset, test: Dataset) -> tuple[Array, Array]:
    """Return each test frame's nearest training frame and what is typical, Å.

    Infinity and NaN where there are too few frames of its kind.
    """
    frames = [i.atoms for i in test.items] + [i.atoms for i in train.items]
    n_test = len(test.items)
    nearest = np.full(n_test, np.inf)
    typical = np.full(n_test, np.nan)
    for group in group_alike(frames):
        asked = [i for i in group if i < n_test]
        if not asked or len(asked) == len(group):
            continue
        points = embed([frames[i] for i in group])
        table = pair_distances(points[: len(asked)], points)
        nearest[asked] = table[:, len(asked) :].min(axis=1)
        if len(group) >= LEAST_FRAMES:
            own = np.arange(len(asked))
            table[own, own] = np.nan
            typical[asked] = np.nanquantile(table, QUANTILE, axis=1)
    return nearest, typical
