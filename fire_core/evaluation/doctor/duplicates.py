"""Structures that occur twice, and those whose labels then disagree."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.evaluation.doctor.distances import SAME, is_same_structure, signature
from fire_core.evaluation.doctor.findings import (
    Finding,
    FindingKind,
    Severity,
    first_frames,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from fire_core.evaluation.doctor.dataset import Dataset
    from fire_core.records import LabelledStructure

ENERGY_TOLERANCE: Final = 2e-3
"""Energies of one structure at one level agree within this, eV/atom."""
FORCE_TOLERANCE: Final = 0.1
"""Force components of one structure at one level agree within this, eV/Å; atoms moved
by `SAME` change theirs by some 0.03."""


def examine_duplicates(data: Dataset) -> list[Finding]:
    """Find equal structures, near-equal ones, and contradicting labels."""
    exact = group_exact(data.items)
    doubled = [group for group in exact if len(group) > 1]
    heads = [group[0] for group in exact]
    near = [
        [heads[i] for i in group]
        for group in group_near([data.items[i].atoms for i in heads])
    ]
    found = []
    if doubled:
        extra = sum(len(group) - 1 for group in doubled)
        found.append(
            Finding(
                FindingKind.DUPLICATE,
                Severity.WARNING,
                f"of {len(data.items)} frames {extra} repeat another exactly; "
                f"structures that occur more than once: {len(doubled)}",
                "keep one of each: repeats weigh more in training, and fall on both "
                "sides of a split",
                first_frames(data.numbers[i] for group in doubled for i in group[1:]),
                extra,
            )
        )
    if near:
        extra = sum(len(group) - 1 for group in near)
        found.append(
            Finding(
                FindingKind.NEAR_DUPLICATE,
                Severity.NOTE,
                f"of {len(data.items)} frames {extra} repeat another within {SAME:g} "
                "Å, periodic images and the order of atoms aside",
                "usual at the end of a relaxation; keep one of each, and both on one "
                "side of a split",
                first_frames(data.numbers[i] for group in near for i in group[1:]),
                extra,
            )
        )
    return found + _examine_contradictions(data, doubled + near)


def group_exact(items: Sequence[LabelledStructure]) -> list[list[int]]:
    """Return positions of equal content key together, in order of appearance."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, item in enumerate(items):
        groups[item.key].append(i)
    return list(groups.values())


def group_near(frames: Sequence[Atoms]) -> list[list[int]]:
    """Return groups of two or more frames, each the same as its first.

    A sum of each coordinate that images and order leave alone narrows the search;
    only what agrees there is compared atom by atom.
    """
    by_composition: dict[str, list[int]] = defaultdict(list)
    for i, atoms in enumerate(frames):
        by_composition[atoms.get_chemical_formula()].append(i)
    groups = []
    for members in by_composition.values():
        if len(members) < 2:
            continue
        table = np.array([signature(frames[i]) for i in members])
        free = np.ones(len(members), bool)
        for row, member in enumerate(members):
            if not free[row]:
                continue
            free[row] = False
            close = free & (np.abs(table - table[row]) <= 1.0).all(axis=1)
            same = [
                j
                for j in np.flatnonzero(close)
                if is_same_structure(frames[member], frames[members[j]])
            ]
            free[same] = False
            if same:
                groups.append([member, *(members[j] for j in same)])
    return groups


def _examine_contradictions(data: Dataset, groups: list[list[int]]) -> list[Finding]:
    frames: set[int] = set()
    energy = force = 0.0
    for group in groups:
        items = [data.items[i] for i in group]
        energies = np.array([i.label.energy / len(i.atoms) for i in items])
        spread = float(np.ptp(energies))
        forces = np.array([i.label.forces for i in items])
        if len({i.key for i in items}) > 1:  # atoms may stand in another order
            forces = np.sort(forces, axis=1)
        gap = float(np.ptp(forces, axis=0).max())
        if spread > ENERGY_TOLERANCE or gap > FORCE_TOLERANCE:
            frames |= {data.numbers[i] for i in group}
            energy, force = max(energy, spread), max(force, gap)
    if not frames:
        return []
    return [
        Finding(
            FindingKind.CONTRADICTION,
            Severity.ERROR,
            f"one structure has different labels in {len(frames)} frames: up to "
            f"{1e3 * energy:.1f} meV/atom and {force:.3f} eV/Å apart",
            "find out which settings each came from and keep one level of theory; an "
            "unconverged SCF or another magnetic state does this too",
            first_frames(frames),
            len(frames),
            {"energy_ev_per_atom": energy, "force_ev_per_angstrom": force},
        )
    ]
