"""Slabs keep their crystal, interfaces their promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import write
from ase.neighborlist import neighbor_list

from fire_core.config.interfaces import SIX, expand_system
from fire_core.config.system import FileSystem, InterfaceSystem, SlabConfig
from fire_core.errors import ConfigError, StructureError
from fire_core.structures.crystals import build_crystal
from fire_core.structures.interfaces import (
    build_interface,
    build_system,
    examine_interface,
)
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


def test_ranked_matches_are_all_within_the_limits_and_in_order() -> None:
    wide = EXAMPLE.model_copy(update={"max_atoms": 90, "min_width": 5.0})
    found = examine_interface(wide)
    assert len(found.matches) > 2
    order = [(m.n_atoms, m.strain) for m in found.matches]
    assert order == sorted(order)
    assert all(m.strain <= 0.08 and m.n_atoms <= 90 for m in found.matches)
    assert all(m.width >= 5.0 for m in found.matches)
    smaller = wide.model_copy(update={"max_area": found.matches[-1].area - 0.1})
    fewer = examine_interface(smaller).matches
    assert 0 < len(fewer) < len(found.matches)
    assert max(m.area for m in fewer) < found.matches[-1].area


@pytest.mark.parametrize("match", [0, 1, 2])
def test_the_built_cell_has_the_strain_area_and_atoms_of_its_row(match: int) -> None:
    system = EXAMPLE.model_copy(
        update={"max_atoms": 90, "min_width": 5.0, "match": match}
    )
    found = examine_interface(system)
    row = found.matches[match]
    assert len(found.atoms) == row.n_atoms
    in_plane = found.atoms.cell.array[:2]
    assert np.linalg.norm(np.cross(*in_plane)) == pytest.approx(row.area)
    # the strain of the top slab, from metric tensors of free and built cell
    turns = np.linalg.det(row.bottom) < 0  # then axes are exchanged in both slabs
    free = row.top[:: -1 if turns else 1] @ found.top.slab.cell.array[:2, :2]
    metrics = [v @ v.T for v in (free, in_plane[:, :2])]
    stretches = np.sqrt(np.linalg.eigvals(np.linalg.solve(*metrics)).real)
    assert np.abs(stretches - 1).max() == pytest.approx(row.strain)
    for side, region in ((found.bottom, 0), (found.top, 1)):
        built = found.atoms[found.atoms.arrays["region"] == region]
        repeats = len(built) // len(side.slab)
        assert built.symbols.formula.count() == {
            e: n * repeats for e, n in side.slab.symbols.formula.count().items()
        }


def test_vacuum_opens_the_second_contact_alone() -> None:
    open_top = EXAMPLE.model_copy(update={"vacuum": 12.0})
    closed, opened = build_interface(EXAMPLE), build_interface(open_top)
    assert opened.cell.array[2, 2] - closed.cell.array[2, 2] == pytest.approx(9.8)
    region = opened.arrays["region"]
    z = opened.positions[:, 2]
    assert z[region == 1].min() - z[region == 0].max() == pytest.approx(2.2)
    around = z[region == 0].min() + opened.cell.array[2, 2] - z[region == 1].max()
    assert around == pytest.approx(12.0)


@pytest.mark.parametrize("termination", [0, 1])
def test_the_contact_is_between_the_planes_that_were_chosen(termination: int) -> None:
    slab = SlabConfig(
        crystal="LiF", miller=(1, 1, 1), layers=3, termination=termination
    )
    system = InterfaceSystem(
        bottom=slab,
        top=SlabConfig(crystal="LiCl", miller=(1, 1, 1), layers=2),
        max_strain=0.3,
        max_atoms=120,
        gap=2.4,
    )
    found = examine_interface(system)
    assert found.bottom.polarity.is_polar
    lower = found.atoms[found.atoms.arrays["region"] == 0]
    top_plane = lower.positions[:, 2] > lower.positions[:, 2].max() - 0.1
    assert set(lower.symbols[top_plane]) == {found.bottom.taken.below}


def test_mirror_images_are_matched_by_turning_the_slab_over() -> None:
    """Each slab keeps its crystal's neighbours, whichever way round it fits."""
    system = InterfaceSystem.model_validate(
        expand_system({"preset": "li3ps4-li3b11o18", "max_atoms": 260})
    )
    turned = []
    for match in range(len(examine_interface(system).matches)):
        found = examine_interface(system.model_copy(update={"match": match}))
        turned.append(found.match.is_turned)
        i, _, d = neighbor_list("ijd", found.atoms, {("P", "S"): 2.3})
        phosphorus = found.atoms.symbols == "P"
        assert set(np.bincount(i, minlength=len(phosphorus))[phosphorus]) == {4}
        assert d.min() > 2.05 * (1 - found.match.strain) - 0.02
        assert d.max() < 2.07 * (1 + found.match.strain) + 0.02
    assert any(turned)


def test_a_match_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        StructureError, match=r"matches are within.*got system.match: 7"
    ):
        build_interface(EXAMPLE.model_copy(update={"match": 7}))


def test_layers_and_thickness_exclude_each_other() -> None:
    with pytest.raises(ValueError, match=r"either layers or thickness, got layers: 2"):
        SlabConfig(crystal="LiF", layers=2, thickness=5.0)


def test_two_cifs_of_the_user_make_the_same_interface(tmp_path: Path) -> None:
    for name in ("LiCl", "GaF3"):
        write(tmp_path / f"{name}.cif", build_crystal(name))
    mine = EXAMPLE.model_copy(
        update={
            side: getattr(EXAMPLE, side).model_copy(
                update={"crystal": str(tmp_path / f"{name}.cif")}
            )
            for side, name in (("bottom", "LiCl"), ("top", "GaF3"))
        }
    )
    ours, theirs = build_interface(EXAMPLE), build_interface(mine)
    assert ours.get_chemical_formula() == theirs.get_chemical_formula()
    # the cell in the file may lead to other, equivalent axes in the plane
    assert ours.get_volume() == pytest.approx(theirs.get_volume(), rel=1e-3)
    assert min_distance_ratio(theirs) == pytest.approx(
        min_distance_ratio(ours), abs=0.02
    )


@pytest.mark.parametrize("name", [*SIX, "li-llzto"])
def test_the_named_interfaces_fit_and_overlap_nowhere(name: str) -> None:
    system = InterfaceSystem.model_validate(expand_system({"preset": name}))
    found = examine_interface(system)
    assert len(found.atoms) <= 200
    assert found.match.strain <= 0.05
    assert min_distance_ratio(found.atoms) > 0.8
    for region, side in enumerate((found.bottom, found.top)):
        assert np.ptp(side.slab.positions[:, 2]) > 3.5
        part = found.atoms[found.atoms.arrays["region"] == region]
        part.center(vacuum=8.0, axis=2)
        free = min_distance_ratio(side.bulk.atoms)
        assert min_distance_ratio(part) > (1 - found.match.strain) * free - 0.01
        assert side.polarity.charge == pytest.approx(0.0)
    polar = {s.config.crystal for s in (found.bottom, found.top) if s.polarity.is_polar}
    assert polar <= {"LLZTO", "LLZNO"}  # no flat cut of the garnet is without dipole


def test_a_preset_takes_changes_key_by_key() -> None:
    system = expand_system(
        {"preset": "li-li6ps5cl", "vacuum": 10, "top": {"thickness": 9.0}}
    )
    built = InterfaceSystem.model_validate(system)
    assert (built.vacuum, built.top.crystal, built.top.layers) == (10, "Li", None)
    assert built.top.thickness == 9.0
    assert built.bottom.crystal == "Li6PS5Cl"
    with pytest.raises(ConfigError, match=r"system.preset: expected one of na-na3sbs4"):
        expand_system({"preset": "li-li"})
