"""Screening refuses what would waste a label and says why."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list
from pydantic import ValidationError

from fire_core.config.steps import ScreenConfig
from fire_core.errors import StructureError
from fire_core.selection.distances import pair_distances
from fire_core.selection.screen import (
    Reference,
    lowest_energies,
    screen,
    starting_volumes,
)


def _kinds(frames, config, **options):
    return [p and p.kind for p in screen(frames, config, **options)]


@pytest.mark.parametrize("repeat", [1, (2, 1, 3)])
@pytest.mark.parametrize("periodic", [True, (True, True, False), False])
def test_pair_distances_are_those_of_a_neighbour_list(repeat, periodic):
    atoms = bulk("LiCl", "rocksalt", a=5.13) * repeat
    atoms.symbols[0] = "F"
    atoms.rattle(0.3, seed=2)
    atoms.positions += [17.0, -40.0, 3.0]
    atoms.pbc = periodic
    first, second, away = neighbor_list("ijd", atoms, 5.0)
    elements, distances = pair_distances(atoms, 5.0)
    assert set(elements) == set(atoms.numbers)
    for i, z in enumerate(elements):
        for j, other in enumerate(elements):
            pairs = (atoms.numbers[first] == z) & (atoms.numbers[second] == other)
            nearest = np.min(away[pairs], initial=np.inf)
            assert distances[i, j] == pytest.approx(nearest)


def test_distances_of_named_pairs_count_for_those_alone():
    salt = bulk("LiCl", "rocksalt", a=5.13, cubic=True)  # Li-Cl 2.57, Li-Li 3.63 Å
    for limits, kind in (
        ({"Li-Cl": 2.5, "Li-Li": 3.5, "O-H": 9.0}, None),
        ({"Li-Cl": 2.6}, "pair_distance"),
        ({"Cl-Li": 2.6}, "pair_distance"),
        ({"Cl-Cl": 3.7}, "pair_distance"),
    ):
        assert _kinds([salt], ScreenConfig(min_distances=limits)) == [kind]
    found = screen([salt], ScreenConfig(min_distances={"Li-Li": 4.0}))[0]
    assert found.detail == "Li-Li at 3.63 Å, expected at least 4.00 Å"
    with pytest.raises(ValidationError, match="two elements such as Li-S, got 'LiS'"):
        ScreenConfig(min_distances={"LiS": 1.0})


def test_lost_atoms_and_swollen_cells_are_told_from_the_start():
    start = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    lost = start[1:]
    swollen, strained = start.copy(), start.copy()
    swollen.set_cell(start.cell * 1.2, scale_atoms=True)  # 73 % more volume
    strained.set_cell(start.cell * 1.03, scale_atoms=True)
    reference = Reference(starting_volumes([start]), {})
    frames = [start, lost, swollen, strained]
    found = screen(frames, ScreenConfig(), reference=reference)
    assert [p and p.kind for p in found] == [None, "composition", "volume", None]
    assert found[1].detail == "it is Cl4Li3, expected Cl4Li4"
    assert "by +73%, expected at most 50%" in found[2].detail
    lax = ScreenConfig(max_volume_change=None, same_composition=False)
    assert _kinds(frames, lax, reference=reference) == [None] * 4
    assert _kinds(frames, ScreenConfig()) == [None] * 4
    both = Reference(starting_volumes([start, swollen]), {})
    assert _kinds([swollen], ScreenConfig(), reference=both) == [None]


def test_charges_must_add_up_where_they_are_given():
    salt = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    config = ScreenConfig(charges={"Li": 1, "Cl": -1})
    found = screen([salt, salt[1:]], config)
    assert found[0] is None
    assert found[1].kind == "charge"
    assert found[1].detail == "the charges of Cl4Li3 add up to -1"
    with pytest.raises(StructureError, match=r"none of Cl; add it to select\.screen"):
        screen([salt], ScreenConfig(charges={"Li": 1}))


def test_energies_are_held_against_the_lowest_of_the_formula():
    salt, metal = bulk("LiCl", "rocksalt", a=5.13), bulk("Li", "bcc", a=3.49)
    frames, energies = [salt, salt, salt, metal, salt], [-8.0, -7.0, -3.0, -1.0, np.nan]
    formulas = [atoms.get_chemical_formula() for atoms in frames]
    lowest = lowest_energies(formulas, energies, [len(a) for a in frames])
    assert lowest == {"ClLi": -4.0, "Li": -1.0}
    found = screen(
        frames, ScreenConfig(), energies=energies, reference=Reference({}, lowest)
    )
    assert [p and p.kind for p in found] == [
        None,
        None,
        "high_energy",
        None,
        "high_energy",
    ]
    assert "2.50 eV/atom above the lowest" in found[2].detail
    off = ScreenConfig(max_energy=None)
    reference = Reference({}, lowest)
    assert _kinds(frames, off, energies=energies, reference=reference) == [None] * 5


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
