"""Slabs keep their crystal, interfaces their promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import write

from fire_core.config.system import FileSystem, InterfaceSystem, SlabConfig
from fire_core.errors import StructureError
from fire_core.structures.crystals import build_crystal
from fire_core.structures.interfaces import build_interface, build_system
from fire_core.structures.sanity import min_distance_ratio
from fire_core.structures.slabs import cut_slab

EXAMPLE = InterfaceSystem(
    bottom=SlabConfig(crystal="LiCl", miller=(0, 0, 1), layers=2),
    top=SlabConfig(crystal="GaF3", miller=(0, 1, 2), layers=1),
    gap=2.2,
    max_strain=0.08,
    min_width=7.0,
    max_atoms=48,
)


@pytest.mark.parametrize(
    ("name", "miller", "layers", "spacing"),
    [
        ("LiCl", (0, 0, 1), 2, 5.1527 / 2),  # Å between like planes
        ("LiCl", (1, 1, 0), 3, 5.1527 / np.sqrt(8)),
        ("LiCl", (1, 1, 1), 2, 5.1527 / np.sqrt(3)),
        ("Li", (1, 1, 0), 2, 3.44 / np.sqrt(2)),
        ("GaF3", (0, 1, 2), 1, None),
        ("Li2CO3", (0, 0, 1), 1, None),
        ("Li6PS5Cl", (0, 0, 1), 1, 9.85 / 2),
    ],
)
def test_a_slab_is_its_crystal_in_other_axes(
    name: str, miller: tuple[int, int, int], layers: int, spacing: float | None
) -> None:
    crystal = build_crystal(name)
    slab = cut_slab(crystal, miller, layers)
    assert len(slab) / slab.get_volume() == pytest.approx(
        len(crystal) / crystal.get_volume()
    )
    assert slab.symbols.formula.reduce()[0] == crystal.symbols.formula.reduce()[0]
    assert np.allclose(slab.cell.array[2, :2], 0)
    assert np.allclose(slab.cell.array[:2, 2], 0)
    assert slab.positions[:, 2].min() == pytest.approx(0.0)
    assert np.ptp(slab.positions[:, 2]) < slab.cell.array[2, 2]
    if spacing is not None:
        assert slab.cell.array[2, 2] == pytest.approx(layers * spacing, rel=1e-4)
    # within a slab the atoms are where the crystal has them
    inside = slab.copy()
    inside.center(vacuum=8.0, axis=2)
    assert min_distance_ratio(inside) >= min_distance_ratio(crystal) - 1e-6


def test_no_plane_is_an_error() -> None:
    with pytest.raises(StructureError, match="must name a plane"):
        cut_slab(build_crystal("LiF"), (0, 0, 0), 1)


def test_the_example_interface_is_what_it_promises() -> None:
    atoms = build_interface(EXAMPLE)
    assert atoms.get_chemical_formula() == "Cl8F12Ga4Li8"
    assert atoms.pbc.all()
    region = atoms.arrays["region"]
    assert set(atoms.symbols[region == 0]) == {"Li", "Cl"}
    assert set(atoms.symbols[region == 1]) == {"Ga", "F"}
    assert min_distance_ratio(atoms) > 0.9
    heights = [np.sort(atoms.positions[region == r, 2]) for r in (0, 1)]
    assert heights[1][0] - heights[0][-1] == pytest.approx(2.2)
    around = heights[0][0] + atoms.cell.array[2, 2] - heights[1][-1]
    assert around == pytest.approx(2.2)
    licl = build_crystal("LiCl").cell.lengths()[0]
    assert atoms.cell.lengths()[:2] == pytest.approx([licl * np.sqrt(2)] * 2, rel=1e-4)


def test_the_top_slab_is_strained_no_more_than_allowed() -> None:
    atoms = build_interface(EXAMPLE)
    crystal = build_crystal("GaF3")
    area = np.linalg.norm(np.cross(*atoms.cell.array[:2]))
    slab = cut_slab(crystal, (0, 1, 2), 1)
    free = np.linalg.norm(np.cross(*slab.cell.array[:2])) * 16 / len(slab)
    assert abs(area / free - 1) <= (1 + 0.08) ** 2 - 1


def test_what_cannot_fit_says_how_near_it_came() -> None:
    tight = EXAMPLE.model_copy(update={"max_strain": 1e-4})
    with pytest.raises(
        StructureError, match=r"no cell matches LiCl.*(nearest|max_atoms)"
    ):
        build_interface(tight)


def test_a_gap_that_is_too_small_is_refused() -> None:
    squeezed = EXAMPLE.model_copy(update={"gap": 0.3})
    with pytest.raises(StructureError, match=r"raise system.gap \(now 0.3 Å\)"):
        build_interface(squeezed)


def test_structures_from_a_file_are_checked(tmp_path: Path) -> None:
    good, bad = build_crystal("LiF"), build_crystal("LiF")
    bad.positions[0] = bad.positions[1] + 0.1
    write(tmp_path / "good.xyz", [good, good], format="extxyz")
    write(tmp_path / "bad.xyz", [good, bad], format="extxyz")
    assert len(build_system(FileSystem(path="good.xyz"), tmp_path)) == 2
    with pytest.raises(StructureError, match=r"bad.xyz, frame 1: overlap"):
        build_system(FileSystem(path="bad.xyz"), tmp_path)
    with pytest.raises(StructureError, match="no structure file at"):
        build_system(FileSystem(path="none.xyz"), Path())
    (tmp_path / "cut.xyz").write_text("8\n")
    with pytest.raises(StructureError, match="cannot be read as structures"):
        build_system(FileSystem(path="cut.xyz"), tmp_path)
