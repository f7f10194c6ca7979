"""Ordered crystals are neutral, low in energy, repeatable, and keep ions apart."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from ase.neighborlist import neighbor_list

from fire_core.config.system import OrderConfig, SlabConfig
from fire_core.errors import StructureError
from fire_core.structures.composition import guess_oxidation, neutral_counts
from fire_core.structures.crystal_data import garnet
from fire_core.structures.crystals import build_bulk, build_crystal
from fire_core.structures.disorder import Disordered, Orbit, crystal_to_disordered
from fire_core.structures.ordering import Ordering, ewald_matrix, order_sites

if TYPE_CHECKING:
    from pathlib import Path

CHARGES = {
    "Li": 1, "La": 3, "Zr": 4, "Ta": 5, "Nb": 5, "P": 5, "O": -2, "S": -2, "Cl": -1,
}  # fmt: skip


def energy_of(atoms: Atoms) -> float:
    """Return pymatgen's own Ewald energy of the charged structure, eV."""
    from pymatgen.analysis.ewald import EwaldSummation
    from pymatgen.io.ase import AseAtomsAdaptor

    structure = AseAtomsAdaptor.get_structure(atoms)
    structure.add_oxidation_state_by_element(CHARGES)
    return float(EwaldSummation(structure).total_energy)


def ordered(name: str, x: float, **order: object) -> Ordering:
    slab = SlabConfig.model_validate({"crystal": name, "x": x, "order": order})
    found = build_bulk(slab).ordering
    assert found is not None
    return found


@pytest.mark.parametrize("metal", ["Ta", "Nb"])
@pytest.mark.parametrize("x", [0.25, 0.5, 0.75])
def test_a_garnet_holds_seven_minus_x_lithium_and_is_neutral(
    metal: str, x: float
) -> None:
    found = ordered(f"LLZ{metal[0]}O", x)
    counts = Counter(found.atoms.get_chemical_symbols())
    assert counts[metal] / 8 == x
    assert counts["Li"] / 8 == 7 - x
    assert counts["Zr"] / 8 == 2 - x
    assert sum(CHARGES[e] * n for e, n in counts.items()) == 0
    assert found.atoms.cell.lengths() == pytest.approx([12.975 - 0.088 * x] * 3)
    # Xie et al. 2011 and Cussen & Yip 2007: no lithium pair below 2.3 Å
    lithium = found.atoms[found.atoms.symbols == "Li"]
    assert neighbor_list("d", lithium, 4.0).min() > 2.3


def test_the_energy_is_pymatgens_and_lower_than_that_of_random_orders() -> None:
    disordered = crystal_to_disordered(garnet("Ta", 0.5))
    config = OrderConfig(cell="conventional", sweeps=200)
    found = order_sites(disordered, config)
    assert energy_of(found.atoms) == pytest.approx(found.energy, rel=1e-6)
    others = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        shuffled = found.atoms.copy()
        metals = np.flatnonzero(np.isin(shuffled.symbols, ["Zr", "Ta"]))
        shuffled.numbers[metals] = rng.permutation(shuffled.numbers[metals])
        lithium = np.flatnonzero(shuffled.symbols == "Li")
        sites = disordered.scaled[disordered.kinds <= 1]
        taken = rng.choice(len(sites), len(lithium), replace=False)
        shuffled.positions[lithium] = sites[taken] @ shuffled.cell.array
        others.append(energy_of(shuffled))
    assert found.energy < min(others) - 10.0


def test_the_search_finds_the_best_of_all_arrangements_of_a_small_cell() -> None:
    """Half of the lithium of rock salt LiF in a cell with a triple-charged partner."""
    sites = build_crystal("LiF") * (2, 1, 1)
    cations = np.flatnonzero(sites.symbols == "Li")
    kinds = np.zeros(len(sites), int)
    kinds[cations] = 1
    orbits = (Orbit("F1", (("F", 1.0),)), Orbit("Li1", (("Li", 0.5), ("Al", 1 / 6))))
    crystal = Disordered(sites.cell.array, sites.get_scaled_positions(), kinds, orbits)
    config = OrderConfig(cell="conventional", oxidation={"Li": 1, "Al": 3, "F": -1})
    found = order_sites(crystal, config)
    counts = Counter(found.atoms.get_chemical_symbols())
    assert counts["Li"] + 3 * counts["Al"] == counts["F"] == 8
    matrix = ewald_matrix(sites.cell.array, sites.get_scaled_positions())
    energies = []
    charges = np.where(kinds == 0, -1.0, 0.0)
    for aluminium in itertools.combinations(cations, counts["Al"]):
        left = [c for c in cations if c not in aluminium]
        for lithium in itertools.combinations(left, counts["Li"]):
            q = charges.copy()
            q[list(aluminium)] = 3.0
            q[list(lithium)] = 1.0
            energies.append(q @ matrix @ q)
    assert found.energy == pytest.approx(min(energies), abs=1e-6)


def test_the_seed_decides() -> None:
    one = ordered("LLZTO", 0.25, seed=1, sweeps=100)
    again = ordered("LLZTO", 0.25, seed=1, sweeps=100)
    others = [ordered("LLZTO", 0.25, seed=s, sweeps=100) for s in (2, 3)]
    assert np.array_equal(one.atoms.positions, again.atoms.positions)
    assert np.array_equal(one.atoms.numbers, again.atoms.numbers)
    assert any(
        other.atoms.positions.shape != one.atoms.positions.shape
        or not np.array_equal(other.atoms.positions, one.atoms.positions)
        for other in others
    )


@pytest.mark.parametrize("x", [0.25, 0.5])
def test_anti_site_disorder_exchanges_the_share_that_was_asked_for(x: float) -> None:
    found = ordered("Li6PS5Cl", x, cell="conventional", sweeps=200)
    assert found.atoms.get_chemical_formula() == "Cl4Li24P4S20"
    assert found.notes == ()
    scaled = found.atoms.get_scaled_positions()
    corners = np.abs(2 * scaled - np.round(2 * scaled)).max(axis=1) < 1e-3
    symbols = np.array(found.atoms.get_chemical_symbols())
    fcc = np.round(2 * scaled).astype(int).sum(axis=1) % 2 == 0  # 0 0 0, 0 ½ ½, …
    on_4a = corners & fcc
    assert set(symbols[on_4a]) <= {"S", "Cl"}
    assert (symbols[on_4a] == "S").sum() == 4 * x
    lithium = found.atoms[found.atoms.symbols == "Li"]
    assert neighbor_list("d", lithium, 3.0).min() > 2.05  # one of each doublet


def test_the_ordered_primitive_cell_fills_the_conventional_one() -> None:
    found = ordered("LLZTO", 0.5)
    assert found.n_ordered * 2 == len(found.atoms) == 188
    shift = found.atoms.copy()
    shift.set_scaled_positions(found.atoms.get_scaled_positions() + 0.5)
    shift.wrap()
    both = Atoms(
        positions=np.concatenate([found.atoms.positions, shift.positions]),
        numbers=np.concatenate([found.atoms.numbers, shift.numbers]),
        cell=shift.cell,
        pbc=True,
    )
    i, j, _ = neighbor_list("ijd", both, 1e-3)
    assert len(i) == 2 * 188
    assert np.array_equal(both.numbers[i], both.numbers[j])


def test_a_disordered_cif_of_the_user_is_ordered(tmp_path: Path) -> None:
    """Half of the chlorine exchanged for bromine, by hand, in LiCl."""
    path = tmp_path / "mixed.cif"
    write(path, build_crystal("LiCl"))
    lines = []
    for line in path.read_text().splitlines():
        lines.append(line)
        if line.split()[:1] == ["Cl"]:
            lines[-1] = line.replace("1.0000", "0.5000")
            lines.append(lines[-1].replace("Cl", "Br"))
    path.write_text("\n".join(lines) + "\n")
    atoms = build_crystal(str(path))
    assert atoms.get_chemical_formula() == "Br2Cl2Li4"


def test_occupancies_that_cannot_be_neutral_are_refused() -> None:
    orbits = (Orbit("Li1", (("Li", 0.3),)), Orbit("O1", (("O", 1.0),)))
    with pytest.raises(StructureError, match=r"no charge-neutral.*-17 e.*order.oxid"):
        neutral_counts(orbits, [10, 10], {"Li": 1.0, "O": -2.0})


def test_a_published_file_that_lacks_lithium_says_so(shared_data: Path) -> None:
    """24 × 0.37 + 96 × 0.28 = 35.8 lithium ions; La, Zr and O ask for 56."""
    path = shared_data / "structures" / "LLZO_cubic_Ia-3d_disordered.cif"
    with pytest.raises(StructureError, match=r"has -20\.\d e with Li \+1"):
        build_crystal(str(path))


def test_published_files_are_ordered(shared_data: Path) -> None:
    folder = shared_data / "structures"
    for name, formula in (
        ("LLZTO_Ta0.8_disordered", None),
        ("Li6PS5Cl_F-43m_a", "Cl4Li24P4S20"),
        ("gamma-Li3PS4_Pmn21_disordered", "Li6P2S8"),
    ):
        atoms = build_crystal(str(folder / f"{name}.cif"))
        counts = Counter(atoms.get_chemical_symbols())
        assert sum(CHARGES[e] * n for e, n in counts.items()) == 0
        assert formula in {None, atoms.get_chemical_formula()}


def test_sites_that_cannot_be_kept_apart_are_refused() -> None:
    cell = np.diag([3.0, 3.0, 3.0])
    scaled = np.array([[0, 0, 0], [0.2, 0, 0], [0.5, 0.5, 0.5]])
    orbits = (Orbit("Li1", (("Li", 0.95),)), Orbit("O1", (("O", 1.0),)))
    crystal = Disordered(cell, scaled, np.array([0, 0, 1]), orbits)
    with pytest.raises(
        StructureError, match=r"1 pairs of part-empty sites.*order\.min"
    ):
        order_sites(crystal, OrderConfig(cell="conventional", sweeps=5))


def test_charges_are_those_of_chemistry_or_those_given() -> None:
    assert guess_oxidation({"Li": 6, "P": 1, "S": 5, "Cl": 1}, {}) == {
        "Li": 1, "P": 5, "S": -2, "Cl": -1,
    }  # fmt: skip
    assert guess_oxidation({"Na": 12}, {}) == {"Na": 0}
    odd = guess_oxidation({"Li": 26.4, "La": 12, "Zr": 6.4, "Ta": 1.6, "O": 48}, {})
    assert odd == {"Li": 1, "La": 3, "Zr": 4, "Ta": 5, "O": -2}
    assert guess_oxidation({"Li": 1, "O": 1}, {"Li": 1, "O": -1}) == {"Li": 1, "O": -1}
    with pytest.raises(StructureError, match="oxidation names K, the crystal holds"):
        guess_oxidation({"Li": 1}, {"K": 1})
