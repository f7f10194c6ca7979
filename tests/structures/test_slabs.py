"""Slabs: terminations, thickness, whole complex ions, polarity."""

from __future__ import annotations

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from fire_core.errors import StructureError
from fire_core.structures.crystals import build_crystal
from fire_core.structures.polarity import VOLTS, find_polarity
from fire_core.structures.slabs import cut_slab, list_terminations


def planes(name: str, miller: tuple[int, int, int]) -> list[tuple[str, str, int]]:
    crystal = build_crystal(name)
    return [
        (cut.below, cut.above, cut.polarity.tasker or 0)
        for cut in list_terminations(crystal, miller)
    ]


def test_rock_salt_and_fluorite_have_the_terminations_of_the_textbook() -> None:
    """Tasker, J. Phys. C 12 (1979) 4977: types 1, 2 and 3."""
    assert planes("LiF", (0, 0, 1)) == [("F Li", "F Li", 1)]
    assert sorted(planes("LiF", (1, 1, 1))) == [("F", "Li", 3), ("Li", "F", 3)]
    found = planes("Li2O", (1, 1, 1))  # antifluorite: Li-O-Li layers have no dipole
    assert found[0] == ("Li", "Li", 2)
    assert sorted(found[1:]) == [("Li", "O", 3), ("O", "Li", 3)]
    assert planes("Li", (1, 1, 0)) == [("Li", "Li", 0)]


def test_each_termination_ends_the_slab_as_it_says() -> None:
    crystal = build_crystal("LiF")
    for number, cut in enumerate(list_terminations(crystal, (1, 1, 1))):
        slab = cut_slab(crystal, (1, 1, 1), 2, termination=number)
        assert slab.symbols[int(slab.positions[:, 2].argmax())] == cut.below
        assert slab.symbols[int(slab.positions[:, 2].argmin())] == cut.above
        assert slab.get_chemical_formula() == "F2Li2"
        left = slab.cell.array[2, 2] - np.ptp(slab.positions[:, 2])
        assert left == pytest.approx(cut.gap)
    with pytest.raises(StructureError, match=r"has 2 terminations.*got 2"):
        cut_slab(crystal, (1, 1, 1), 2, termination=2)


@pytest.mark.parametrize(
    ("name", "centre", "ligand", "number", "reach"),
    [
        ("Li2CO3", "C", "O", 3, 1.5),
        ("Li3PS4", "P", "S", 4, 2.3),
        ("gamma-Li3PS4", "P", "S", 4, 2.3),
        ("Na3SbS4", "Sb", "S", 4, 2.6),
    ],
)
@pytest.mark.parametrize("miller", [(0, 0, 1), (1, 1, 0), (1, 1, 1)])
def test_complex_ions_stay_whole_in_every_slab(
    name: str,
    centre: str,
    ligand: str,
    number: int,
    reach: float,
    miller: tuple[int, int, int],
) -> None:
    crystal = build_crystal(name)
    cuts = list_terminations(crystal, miller)
    for termination in range(min(len(cuts), 3)):
        slab = cut_slab(crystal, miller, 1, termination=termination)
        assert slab.symbols.formula.reduce()[0] == crystal.symbols.formula.reduce()[0]
        slab.center(vacuum=8.0, axis=2)
        i, _, _ = neighbor_list("ijd", slab, {(centre, ligand): reach})
        corners = np.bincount(i, minlength=len(slab))[slab.symbols == centre]
        assert set(corners.tolist()) == {number}
        assert cuts[termination].bonds == 0


def test_a_network_is_cut_where_it_breaks_least() -> None:
    crystal = build_crystal("Li3B11O18")
    cuts = list_terminations(crystal, (1, 1, 0))
    assert [c.bonds for c in cuts] == sorted(c.bonds for c in cuts)
    slab = cut_slab(crystal, (1, 1, 0), 1)
    slab.center(vacuum=8.0, axis=2)
    i, _, _ = neighbor_list("ijd", slab, {("B", "O"): 1.6})
    bonds = 4 * (8 * 3 + 3 * 4)  # of 8 triangles and 3 tetrahedra, 4 formula units
    assert bonds - len(i) // 2 == cuts[0].bonds > 0


def test_thickness_is_reached_with_as_few_layers_as_possible() -> None:
    crystal = build_crystal("LiCl")
    slab = cut_slab(crystal, (0, 0, 1), thickness=7.0)
    assert np.ptp(slab.positions[:, 2]) == pytest.approx(3 * 5.1527 / 2)
    exact = cut_slab(crystal, (0, 0, 1), thickness=5.1527)
    assert np.ptp(exact.positions[:, 2]) == pytest.approx(5.1527)
    thin = cut_slab(crystal, (0, 0, 1), 5, thickness=0.1)
    assert len(thin) == 4  # a single plane has no thickness


def test_the_dipole_is_that_of_charged_plates() -> None:
    """A Li plane and a F plane at distance d make a step q d / (ε0 A)."""
    crystal = build_crystal("LiF")
    slab = cut_slab(crystal, (1, 1, 1), 1)
    area = np.linalg.norm(np.cross(*slab.cell.array[:2]))
    distance = np.ptp(slab.positions[:, 2])
    found = find_polarity(slab, {})
    assert abs(found.step) == pytest.approx(VOLTS * distance / area)
    assert found.is_polar
    assert found.charge == 0
    mirrored = slab.copy()
    mirrored.positions[:, 2] *= -1
    assert find_polarity(mirrored, {}).step == pytest.approx(-found.step)


def test_a_plane_is_the_same_in_any_cell_of_the_crystal() -> None:
    crystal = build_crystal("LiCl")
    doubled = crystal * (2, 2, 2)
    slab = cut_slab(doubled, (1, 1, 0), 2, conventional=crystal.cell.array)
    again = cut_slab(crystal, (1, 1, 0), 2)
    assert slab.cell.lengths() == pytest.approx(again.cell.lengths())
    assert len(slab) == len(again)
