"""Crystals against what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import spglib
from ase.io import read, write
from ase.neighborlist import neighbor_list

from fire_core.errors import StructureError
from fire_core.structures.crystals import CRYSTALS, build_crystal

if TYPE_CHECKING:
    from pathlib import Path

AMU = 1.66053907  # g/cm³ in an atomic mass unit per Å³

# Reduced formula, density in g/cm³ (measured, at room temperature) and a bond: two
# species and their distance in Å.
FACTS = {
    "Li": ("Li", 0.534, ("Li", "Li", 3.02)),
    "Na": ("Na", 0.968, ("Na", "Na", 3.66)),
    "LiCl": ("LiCl", 2.07, ("Li", "Cl", 2.57)),
    "LiF": ("LiF", 2.64, ("Li", "F", 2.01)),
    "Li2O": ("Li2O", 2.01, ("Li", "O", 2.00)),
    "Li2S": ("Li2S", 1.66, ("Li", "S", 2.47)),
    "GaF3": ("GaF3", 4.47, ("Ga", "F", 1.89)),
    "Li2CO3": ("CLi2O3", 2.11, ("C", "O", 1.28)),
    "Na3SbS4": ("Na3S4Sb", 2.86, ("Sb", "S", 2.34)),
    "Li3PS4": ("Li3PS4", 1.87, ("P", "S", 1.95)),  # short in this refinement
    "Li6PS5Cl": ("ClLi6PS5", 1.86, ("P", "S", 2.05)),
    "LLZO": ("La3Li7O12Zr2", 5.1, ("Zr", "O", 2.10)),
}


@pytest.mark.parametrize("name", sorted(CRYSTALS))
def test_formula_symmetry_density_and_bonds(name: str) -> None:
    formula, density, (a, b, distance) = FACTS[name]
    atoms = build_crystal(name)
    reduced, _ = atoms.symbols.formula.reduce()
    assert f"{reduced:hill}" == f"{type(reduced)(formula):hill}"
    mass = atoms.get_masses().sum() * AMU
    assert mass / atoms.get_volume() == pytest.approx(density, rel=0.08)
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    assert spglib.get_symmetry_dataset(cell, symprec=1e-2).number == (
        CRYSTALS[name].spacegroup
    )
    i, j, d = neighbor_list("ijd", atoms, 4.0)
    symbols = atoms.symbols
    pairs = [
        x for x, p, q in zip(d, i, j, strict=True) if {symbols[p], symbols[q]} == {a, b}
    ]
    assert min(pairs) == pytest.approx(distance, rel=0.05)


def test_a_cif_is_a_crystal_and_an_unknown_name_is_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.cif"
    write(path, build_crystal("LiF"))
    assert build_crystal(str(path)).get_chemical_formula() == "F4Li4"
    with pytest.raises(
        StructureError, match=r"unknown crystal 'LiG': expected one of Li"
    ):
        build_crystal("LiG")


def test_a_disordered_cif_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "disordered.cif"
    write(path, build_crystal("LiF"))
    half = path.read_text().replace("1.0000", "0.5000", 1)
    path.write_text(half)
    assert read(path, fractional_occupancies=True).info["occupancy"]
    with pytest.raises(StructureError, match=r"partially occupied.*order it first"):
        build_crystal(str(path))


def test_ordered_reference_structures_agree(shared_data: Path) -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    names = {
        "LiCl": "LiCl_Fm-3m", "LiF": "LiF_Fm-3m", "GaF3": "GaF3_R-3c",
        "Li2CO3": "Li2CO3_C2c", "Na3SbS4": "Na3SbS4_tetragonal_relaxed",
        "LLZO": "LLZO_tetragonal_I41acd",
    }  # fmt: skip
    matcher = StructureMatcher()
    for name, file in names.items():
        reference = read(shared_data / "structures" / f"{file}.cif")
        pair = [
            AseAtomsAdaptor.get_structure(x) for x in (reference, build_crystal(name))
        ]
        assert matcher.fit(*pair), name
