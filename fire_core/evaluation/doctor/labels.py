"""Labels that are wrong by themselves: unread, net, zero, repeated, large."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.evaluation.doctor.distances import is_same_structure
from fire_core.evaluation.doctor.findings import (
    Finding,
    FindingKind,
    Severity,
    first_frames,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.evaluation.doctor.dataset import Dataset, Predictions

NET_WARNING: Final = 5.0
"""Net force per atom that plane-wave codes stay well below, meV/Å."""
NET_ERROR: Final = 50.0
"""Net force per atom that says forces are missing or wrong, meV/Å."""
LARGE_FORCE: Final = 20.0
"""Force that dominates a training, eV/Å."""
REAL_FORCE: Final = 0.1
"""Largest predicted force above which a frame of zero forces is not believed, eV/Å."""


def examine_reading(data: Dataset) -> list[Finding]:
    """Find frames that cannot be used, several theories, missing and zero stresses."""
    by_kind: dict[str, list[int]] = defaultdict(list)
    for number, problem in data.refused.items():
        by_kind[problem.kind].append(number)
    found = [
        Finding(
            FindingKind.UNREADABLE,
            Severity.ERROR,
            f"{len(frames)} of {data.n_frames} frames cannot be used: {kind}, for "
            f"example frame {frames[0]}: {data.refused[frames[0]].detail}",
            "mend or leave out these frames; `fire db import` refuses them",
            first_frames(frames),
            len(frames),
        )
        for kind, frames in by_kind.items()
    ]
    missing = _examine_missing_stress(data) + _examine_zero_stress(data)
    return found + _examine_theories(data) + missing


def examine_net_forces(data: Dataset) -> list[Finding]:
    """Find frames whose forces do not sum to zero."""
    net = np.array(
        [
            1e3 * np.linalg.norm(i.label.forces.sum(axis=0)) / len(i.atoms)
            for i in data.items
        ]
    )
    bad = np.flatnonzero(net > NET_WARNING)
    if not len(bad):
        return []
    severity = Severity.ERROR if net.max() > NET_ERROR else Severity.WARNING
    return [
        Finding(
            FindingKind.NET_FORCE,
            severity,
            f"forces do not sum to zero in {len(bad)} of {len(net)} frames: up to "
            f"{net.max():.1f} meV/Å per atom (median of all {np.median(net):.2g}, "
            f"expected below {NET_WARNING:g})",
            "no potential can learn this part: look for atoms held fixed and written "
            "with zero force, atoms lost from the file, or an unconverged SCF",
            first_frames(data.numbers[i] for i in bad),
            len(bad),
            {"max_mev_per_angstrom": float(net.max()), "median": float(np.median(net))},
        )
    ]


def examine_zero_forces(data: Dataset, predictions: Predictions) -> list[Finding]:
    """Find frames without any force where the backbone sees one.

    A perfect crystal has none by symmetry, so the backbone decides; frames that it
    was not asked about are not judged.
    """
    zero = [i for i, item in enumerate(data.items) if not item.label.forces.any()]
    wrong = [
        i
        for i in zero
        if i in predictions.labels
        and np.abs(predictions.labels[i].forces).max() > REAL_FORCE
    ]
    if not wrong:
        return []
    largest = max(np.abs(predictions.labels[i].forces).max() for i in wrong)
    return [
        Finding(
            FindingKind.ZERO_FORCES,
            Severity.ERROR,
            f"all forces are zero in {len(zero)} of {len(data.items)} frames; of those "
            f"asked, the backbone predicts up to {largest:.2f} eV/Å in {len(wrong)}",
            "write the computed forces, or leave these frames out",
            first_frames(data.numbers[i] for i in wrong),
            len(zero),
            {"max_predicted_ev_per_angstrom": float(largest)},
        )
    ]


def examine_repeated_labels(data: Dataset) -> list[Finding]:
    """Find one frame's labels written to other frames, and one force on every atom."""
    by_forces: dict[str, list[int]] = defaultdict(list)
    uniform = []
    for i, item in enumerate(data.items):
        forces = item.label.forces
        if not forces.any():
            continue
        by_forces[hashlib.sha256(forces.tobytes()).hexdigest()].append(i)
        if len(forces) > 1 and not np.ptp(forces, axis=0).any():
            uniform.append(i)
    repeated = set(uniform)
    for group in by_forces.values():
        first = data.items[group[0]].atoms
        others = [i for i in group if not is_same_structure(first, data.items[i].atoms)]
        repeated |= {group[0], *others} if others else set()
    energies = Counter(item.label.energy for item in data.items)
    energy, n = energies.most_common(1)[0] if energies else (0.0, 0)
    keys = {i.key for i in data.items if i.label.energy == energy}
    found = []
    if repeated:
        what = (
            f"{len(repeated)} frames have the forces of another structure, or one "
            "force on every atom, to the last digit"
        )
        found.append((what, sorted(repeated)))
    if len(keys) > 2 and n > len(data.items) / 2:
        same = [i for i, item in enumerate(data.items) if item.label.energy == energy]
        what = f"{n} frames of {len(keys)} structures have one energy, {energy:.6f} eV"
        found.append((what, same))
    remedy = "look at what wrote the file: it repeats one step's labels for others"
    return [
        Finding(
            FindingKind.REPEATED_LABELS,
            Severity.ERROR,
            what,
            remedy,
            first_frames(data.numbers[i] for i in positions),
            len(positions),
        )
        for what, positions in found
    ]


def examine_large_forces(data: Dataset) -> list[Finding]:
    """Find forces that would dominate a training."""
    largest = np.array([_largest(item.label.forces) for item in data.items])
    bad = np.flatnonzero(largest > LARGE_FORCE)
    if not len(bad):
        return []
    return [
        Finding(
            FindingKind.LARGE_FORCES,
            Severity.WARNING,
            f"forces above {LARGE_FORCE:g} eV/Å in {len(bad)} of {len(largest)} "
            f"frames, up to {largest.max():.1f} eV/Å (median of the frames' largest "
            f"{np.median(largest):.2f})",
            "leave them out unless the short range is what you want to learn",
            first_frames(data.numbers[i] for i in bad),
            len(bad),
            {"max_ev_per_angstrom": float(largest.max())},
        )
    ]


def _largest(forces: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(forces, axis=1).max())


def _examine_theories(data: Dataset) -> list[Finding]:
    theories = Counter(item.theory for item in data.items)
    if len(theories) < 2:
        return []
    common = theories.most_common(1)[0][0]
    others = [
        number
        for number, item in zip(data.numbers, data.items, strict=True)
        if item.theory != common
    ]
    named = ", ".join(f"{t or 'none named'} ({n})" for t, n in theories.most_common())
    return [
        Finding(
            FindingKind.MIXED_THEORY,
            Severity.ERROR,
            f"the frames name several theory levels: {named}",
            "one file for each level; energies of two levels cannot be mixed",
            first_frames(others),
            len(others),
        )
    ]


def _examine_missing_stress(data: Dataset) -> list[Finding]:
    without = [
        number
        for number, item in zip(data.numbers, data.items, strict=True)
        if item.label.stress is None
    ]
    if not without:
        return []
    what = f"{len(without)} of {len(data.items)} frames have no stress"
    remedy = "fine for fixed cells; pressures and elastic constants are not trained"
    unread = [n for n in data.unread if "stress" in n.lower() or "virial" in n.lower()]
    if unread:
        what += f"; the file has {', '.join(unread)}, which is not read"
        remedy = (
            "write it as `stress`, in eV/Å³ and positive under tension, if pressures "
            "matter to you"
        )
    return [
        Finding(
            FindingKind.NO_STRESS,
            Severity.NOTE,
            what,
            remedy,
            first_frames(without),
            len(without),
        )
    ]


def _examine_zero_stress(data: Dataset) -> list[Finding]:
    zero = [
        number
        for number, item in zip(data.numbers, data.items, strict=True)
        if item.label.stress is not None and not item.label.stress.any()
    ]
    if not zero:
        return []
    return [
        Finding(
            FindingKind.ZERO_STRESS,
            Severity.ERROR,
            f"all six components of the stress are exactly zero in {len(zero)} of "
            f"{len(data.items)} frames: a placeholder, which would be trained on",
            "leave `stress` out where it was not computed",
            first_frames(zero),
            len(zero),
        )
    ]
