"""Structures given twice are found through images and order; near ones are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase import Atoms

from fire_core.evaluation.doctor.distances import (
    SAME,
    embed,
    is_same_structure,
    pair_distances,
)
from fire_core.evaluation.doctor.duplicates import examine_duplicates, group_near
from fire_core.evaluation.doctor.findings import FindingKind, Severity
from fire_core.records import Label
from fire_core.structures.content import structure_key
from tests.evaluation.doctor.conftest import dataset, make_frames

if TYPE_CHECKING:
    from fire_core.records import LabelledStructure


def moved(
    item: LabelledStructure, step: float, *, seed: int = 0, shuffle: bool = False
) -> LabelledStructure:
    """Every atom moved by `step` Å, in another image, perhaps in another order."""
    rng = np.random.default_rng(seed)
    ways = rng.normal(0, 1, (len(item.atoms), 3))
    atoms = item.atoms.copy()
    atoms.positions += step * ways / np.linalg.norm(ways, axis=1)[:, None]
    atoms.positions += rng.integers(-2, 3, ways.shape) @ atoms.cell.array
    order = rng.permutation(len(atoms)) if shuffle else np.arange(len(atoms))
    atoms = atoms[order]
    label = replace(item.label, forces=item.label.forces[order])
    return replace(item, key=structure_key(atoms), atoms=atoms, label=label)


def test_sound_frames_are_no_duplicates(sound: list[LabelledStructure]) -> None:
    assert examine_duplicates(dataset(sound)) == []


def test_exact_repeats_are_counted(sound: list[LabelledStructure]) -> None:
    (finding,) = examine_duplicates(dataset([*sound, sound[3], sound[3], sound[8]]))
    assert (finding.kind, finding.severity) == (FindingKind.DUPLICATE, Severity.WARNING)
    assert (finding.frames, finding.n_frames) == ((24, 25, 26), 3)
    assert finding.what.endswith("more than once: 2")


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_near_repeats_are_found_through_images_and_order(
    sound: list[LabelledStructure], seed: int, *, shuffle: bool
) -> None:
    near = moved(sound[3], 0.9 * SAME, seed=seed, shuffle=shuffle)
    (finding,) = examine_duplicates(dataset([*sound, near]))
    assert (finding.kind, finding.severity) == (
        FindingKind.NEAR_DUPLICATE,
        Severity.NOTE,
    )
    assert finding.frames == (24,)
    far = moved(sound[3], 1.2 * SAME, seed=seed, shuffle=shuffle)
    assert examine_duplicates(dataset([*sound, far])) == []


def test_the_search_finds_what_comparing_every_pair_finds() -> None:
    rng = np.random.default_rng(5)
    frames = make_frames("LiCl", 6, 0, 1)
    for i in range(24):  # displacements around the tolerance, in skewed cells
        atoms = frames[i % 6].copy()
        atoms.positions += rng.uniform(-1, 1, atoms.positions.shape) * 7e-4
        frames.append(atoms)
    for atoms in frames:
        atoms.set_cell(atoms.cell.array @ [[1, 0.3, 0], [0, 1, 0.2], [0, 0, 1]], True)
    expected = []
    free = set(range(len(frames)))
    for i in range(len(frames)):
        if i not in free:
            continue
        same = [
            j for j in sorted(free) if j > i and is_same_structure(frames[i], frames[j])
        ]
        free -= {i, *same}
        expected += [[i, *same]] if same else []
    assert expected
    assert sorted(group_near(frames)) == sorted(expected)


def test_another_cell_species_or_periodicity_is_another_structure() -> None:
    atoms = make_frames("LiCl", 1, 0, 1)[0]
    assert is_same_structure(atoms, atoms.copy())
    strained, other, open_ = atoms.copy(), atoms.copy(), atoms.copy()
    strained.set_cell(atoms.cell.array * 1.001)
    other.symbols[0] = "F"
    open_.pbc = (True, True, False)
    assert not any(is_same_structure(atoms, a) for a in (strained, other, open_))
    assert not is_same_structure(atoms, atoms[:-1])
    # two atoms of one frame near a single atom of the other
    one = Atoms("Li2", [[0, 0, 0], [2, 0, 0]], cell=[9] * 3, pbc=True)
    two = Atoms("Li2", [[0, 0, 0], [0.0005, 0, 0]], cell=[9] * 3, pbc=True)
    assert not is_same_structure(one, two)


@pytest.mark.parametrize("near", [False, True])
def test_one_structure_with_two_labels_is_a_contradiction(
    sound: list[LabelledStructure], *, near: bool
) -> None:
    label = sound[3].label
    again = moved(sound[3], 0.5 * SAME, shuffle=True) if near else sound[3]
    agree = replace(again.label, energy=label.energy + 1e-3 * len(again.atoms))
    disagree = replace(again.label, energy=label.energy + 5e-3 * len(again.atoms))
    found = examine_duplicates(dataset([*sound, replace(again, label=agree)]))
    assert FindingKind.CONTRADICTION not in {f.kind for f in found}
    _, finding = examine_duplicates(dataset([*sound, replace(again, label=disagree)]))
    assert (finding.kind, finding.severity) == (
        FindingKind.CONTRADICTION,
        Severity.ERROR,
    )
    assert finding.frames == (3, 24)
    assert finding.numbers["energy_ev_per_atom"] == pytest.approx(5e-3)


def test_forces_that_disagree_are_a_contradiction(
    sound: list[LabelledStructure],
) -> None:
    label = sound[3].label
    turned = replace(sound[3], label=Label(label.energy, -label.forces, label.stress))
    _, finding = examine_duplicates(dataset([*sound, turned]))
    assert finding.kind is FindingKind.CONTRADICTION
    assert finding.numbers["force_ev_per_angstrom"] == pytest.approx(
        2 * np.abs(label.forces).max()
    )


def test_small_distances_are_those_of_the_minimum_image() -> None:
    rng = np.random.default_rng(2)
    atoms = make_frames("LiCl", 1, 0, 1)[0]
    others = []
    for _ in range(5):
        other = atoms.copy()
        other.positions += rng.normal(0, 0.02, other.positions.shape)
        others.append(other)
    points = embed([atoms, *others])
    expected = [
        np.sqrt(np.square(o.positions - atoms.positions).sum(axis=1).mean())
        for o in others
    ]
    got = pair_distances(points[:1], points)[0]
    assert got[0] == pytest.approx(0, abs=1e-6)
    assert got[1:] == pytest.approx(expected, rel=1e-3)
    for other in others:
        other.positions += rng.integers(-2, 3, (8, 3)) @ atoms.cell.array
    again = pair_distances(points[:1], embed([atoms, *others]))[0]
    assert again == pytest.approx(got, abs=1e-6)
