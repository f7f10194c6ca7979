"""Crystals against what is known of them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import spglib
from ase.io import read, write
from ase.neighborlist import neighbor_list

from fire_core.errors import StructureError
from fire_core.structures.crystal_data import find_crystal, known_crystals
from fire_core.structures.crystals import CRYSTALS, build_crystal

if TYPE_CHECKING:
    from pathlib import Path

AMU = 1.66053907  # g/cm³ in an atomic mass unit per Å³

# Reduced formula, density in g/cm³ (measured at room temperature unless the line says
# otherwise), a bond as two species and their shortest distance in Å, and the source.
FACTS = {
    # CRC Handbook of Chemistry and Physics: density; a = 3.51 Å: 3.04 Å
    "Li": ("Li", 0.534, ("Li", "Li", 3.04)),
    # CRC Handbook; a = 4.29 Å: 3.72 Å
    "Na": ("Na", 0.968, ("Na", "Na", 3.72)),
    # CRC Handbook; a = 5.14 Å: 2.57 Å
    "LiCl": ("LiCl", 2.07, ("Li", "Cl", 2.57)),
    # CRC Handbook; a = 4.027 Å: 2.01 Å
    "LiF": ("LiF", 2.64, ("Li", "F", 2.01)),
    # CRC Handbook; a = 4.62 Å: 2.00 Å
    "Li2O": ("Li2O", 2.01, ("Li", "O", 2.00)),
    # CRC Handbook; a = 5.71 Å: 2.47 Å
    "Li2S": ("Li2S", 1.66, ("Li", "S", 2.47)),
    # CRC Handbook; Roos & Meyer, Acta Cryst. E 57 (2001) i35: Ga-F 1.89 Å
    "GaF3": ("GaF3", 4.47, ("Ga", "F", 1.89)),
    # CRC Handbook; Materials Project mp-3054 (PBE): C-O 1.277 Å
    "Li2CO3": ("CLi2O3", 2.11, ("C", "O", 1.28)),
    # Wang et al. 2016: a = 7.145, c = 7.277 Å, 2 formula units: 2.84; Sb-S 2.34 Å
    "Na3SbS4": ("Na3S4Sb", 2.84, ("Sb", "S", 2.34)),
    # Homma et al. 2011 at 637 K: 12.819 × 8.220 × 6.124 Å, Z = 4; P-S of PS4: 2.05 Å
    "Li3PS4": ("Li3PS4", 1.85, ("P", "S", 2.05)),
    # Homma et al. 2011: 7.708 × 6.535 × 6.137 Å, Z = 2
    "gamma-Li3PS4": ("Li3PS4", 1.93, ("P", "S", 2.05)),
    # Materials Project mp-1020014 (PBE): 1374.3 Å³, Z = 4; B-O of BO3 1.35-1.41 Å
    "Li3B11O18": ("B11Li3O18", 2.07, ("B", "O", 1.35)),
    # Kraft et al. 2017: a = 9.86 Å
    "Li6PS5Cl": ("ClLi6PS5", 1.86, ("P", "S", 2.05)),
    # Awaka et al. 2009: calculated density 5.11; Zr-O 2.10-2.11 Å
    "LLZO": ("La3Li7O12Zr2", 5.11, ("Zr", "O", 2.10)),
}


def distances(name: str, a: str, b: str) -> np.ndarray:
    """Return the distances of two species up to 4 Å."""
    atoms = build_crystal(name)
    i, j, d = neighbor_list("ijd", atoms, 4.0)
    symbols = np.array(atoms.get_chemical_symbols())
    return d[(symbols[i] == a) & (symbols[j] == b)]


@pytest.mark.parametrize("name", sorted(FACTS))
def test_formula_symmetry_density_and_bonds(name: str) -> None:
    formula, density, (a, b, distance) = FACTS[name]
    atoms = build_crystal(name)
    reduced, _ = atoms.symbols.formula.reduce()
    assert f"{reduced:hill}" == f"{type(reduced)(formula):hill}"
    mass = atoms.get_masses().sum() * AMU
    assert mass / atoms.get_volume() == pytest.approx(density, rel=0.08)
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    known = find_crystal(name)
    assert known is not None
    assert spglib.get_symmetry_dataset(cell, symprec=1e-2).number == known.spacegroup
    assert distances(name, a, b).min() == pytest.approx(distance, rel=0.03)


def test_everything_built_in_is_checked_here() -> None:
    assert set(known_crystals()) == set(FACTS) | {"LLZTO", "LLZNO"}


@pytest.mark.parametrize(
    ("name", "centre", "ligand", "number", "longest"),
    [
        ("Li2CO3", "C", "O", 3, 1.31),
        ("Na3SbS4", "Sb", "S", 4, 2.40),
        ("Li3PS4", "P", "S", 4, 2.10),
        ("gamma-Li3PS4", "P", "S", 4, 2.10),
        ("Li6PS5Cl", "P", "S", 4, 2.10),
        ("GaF3", "Ga", "F", 6, 1.95),
        ("LLZO", "Zr", "O", 6, 2.15),
    ],
)
def test_polyhedra_have_their_corners(
    name: str, centre: str, ligand: str, number: int, longest: float
) -> None:
    n = build_crystal(name).symbols.count(centre)
    found = distances(name, centre, ligand)
    assert len(found[found < longest]) == n * number
    assert not len(found[(found > longest) & (found < 1.25 * longest)])


def test_lithium_borate_has_triangles_and_tetrahedra_and_no_loose_oxygen() -> None:
    """Materials Project's description of mp-1020014: 8 BO3 to 3 BO4."""
    atoms = build_crystal("Li3B11O18")
    i, j, _ = neighbor_list("ijd", atoms, {("B", "O"): 1.6})
    boron = np.bincount(i, minlength=len(atoms))[atoms.symbols == "B"]
    assert sorted(boron.tolist()) == [3] * 32 + [4] * 12
    oxygen = np.bincount(j, minlength=len(atoms))[atoms.symbols == "O"]
    assert set(oxygen.tolist()) == {2}


def test_the_cubic_garnet_is_the_mean_of_the_tetragonal_one() -> None:
    """Its oxygen against the mean of Awaka's tetragonal sites; Zr-O of both."""
    from fire_core.structures.crystal_data import garnet

    x, y, z = garnet("Ta", 0.0).sites[-1][1:]
    mean = (-0.0317, 0.0542, 0.1497)  # of the three oxygen orbits of "LLZO", in Ia-3d
    assert (x, y, z) == pytest.approx(mean, abs=2e-3)
    zr_o = distances("LLZO", "Zr", "O")
    bond = 12.975 * np.hypot(np.hypot(x, y), z)
    assert bond == pytest.approx(zr_o[zr_o < 2.3].mean(), rel=0.01)


def test_a_cif_is_a_crystal_and_an_unknown_name_is_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.cif"
    write(path, build_crystal("LiF"))
    assert build_crystal(str(path)).get_chemical_formula() == "F4Li4"
    with pytest.raises(
        StructureError, match=r"unknown crystal 'LiG': expected one of Li"
    ):
        build_crystal("LiG")
    path.write_text("data_\nloop_\n_atom_site_label\n")
    with pytest.raises(StructureError, match=r"mine.cif cannot be read as a CIF"):
        build_crystal(str(path))


def test_x_is_refused_where_there_is_none_or_it_is_too_large() -> None:
    with pytest.raises(StructureError, match=r"LiF has no x, got x = 0.5"):
        build_crystal("LiF", 0.5)
    with pytest.raises(StructureError, match=r"must be from 0 to 2, got 2.5"):
        build_crystal("LLZTO", 2.5)


def test_ordered_reference_structures_agree(shared_data: Path) -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    names = {
        "LiCl": "LiCl_Fm-3m", "LiF": "LiF_Fm-3m", "GaF3": "GaF3_R-3c",
        "Li2CO3": "Li2CO3_C2c", "Na3SbS4": "Na3SbS4_tetragonal_relaxed",
        "LLZO": "LLZO_tetragonal_I41acd",
        "gamma-Li3PS4": "gamma-Li3PS4_Pmn21_disordered",
    }  # fmt: skip
    matcher = StructureMatcher()
    for name, file in names.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = read(shared_data / "structures" / f"{file}.cif")
        pair = [
            AseAtomsAdaptor.get_structure(x) for x in (reference, build_crystal(name))
        ]
        assert matcher.fit(*pair), name


def test_ordered_crystals_have_whole_sites() -> None:
    assert all(known.is_ordered for known in CRYSTALS.values())
