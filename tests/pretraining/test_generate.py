"""What pre-training proposes is repeatable and sane; what it bundles keeps its word."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import get_distances

from fire_core.backbones import assets
from pretraining import generate
from pretraining.chemistry import ELEMENTS, balances, charges, draw_elements
from pretraining.dataset import HELDOUT_FRACTION, fit_reference_energies, is_heldout
from pretraining.prototypes import (
    BINARY,
    ELEMENTAL,
    TERNARY,
    decorate,
    radius_ratio,
)
from pretraining.published import at_usual_volume, published
from pretraining.random_cells import CLOSEST, random_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTACT = 1.05
RATIO_TOLERANCE = 0.04  # a far pair of large atoms may come closer on scaling
LIMIT = 5 * 2**20  # bytes
REPLAY_ATOMS = 40


def sample(seed: int) -> list[Atoms]:
    """Return a few of each family that draws from the seed."""
    rng = np.random.default_rng(seed)
    parts: list[Iterator[Atoms]] = [
        generate._binaries(rng),
        generate._ternaries(rng),
        generate._mixtures(rng),
        random_cells(6, rng),
    ]
    return [atoms for part in parts for atoms in islice(part, 6)]


def test_the_same_seed_proposes_the_same_structures() -> None:
    first, second, other = sample(1), sample(1), sample(2)
    assert first == second
    assert first != other


def test_every_element_is_covered() -> None:
    elements = {a.get_chemical_symbols()[0] for a in generate._elements()}
    assert elements == set(ELEMENTS)
    assert {e for system in generate.SYSTEMS for e in system} <= set(ELEMENTS)


@pytest.mark.parametrize("prototype", [*ELEMENTAL, *BINARY, *TERNARY])
def test_a_prototype_puts_its_closest_pair_at_contact(prototype: str) -> None:
    elements = ("Li", "Zr", "O")
    atoms = decorate(prototype, elements, CONTACT)
    assert radius_ratio(atoms) == pytest.approx(CONTACT, abs=RATIO_TOLERANCE)
    kinds = 1 if prototype in ELEMENTAL else 2 if prototype in BINARY else 3
    assert set(atoms.get_chemical_symbols()) == set(elements[:kinds])


def test_no_proposal_collapses() -> None:
    for atoms in sample(3):
        _, distances = get_distances(
            atoms.positions, cell=atoms.cell, pbc=True
        )  # nearest image of each pair
        apart = distances[~np.eye(len(atoms), dtype=bool)]
        assert not len(apart) or apart.min() > 0.6  # Å
        assert atoms.get_volume() / len(atoms) > 0.7  # Å³: H2F2 as spheres in contact


@pytest.mark.parametrize(
    ("elements", "counts", "balanced"),
    [
        (("Li", "Cl"), (1, 1), True),
        (("Li", "Cl"), (1, 2), False),
        (("Li", "P", "S"), (3, 1, 4), True),
        (("La", "Zr", "O"), (2, 2, 7), True),
        (("Fe", "O"), (3, 4), False),  # of two valences at once; FeO and Fe2O3 do
        (("Fe", "O"), (2, 3), True),
    ],
)
def test_charges_balance(
    elements: tuple[str, ...], counts: tuple[int, ...], balanced: bool
) -> None:
    assert balances(elements, counts) == balanced


def test_drawn_elements_are_distinct_and_mostly_balanced() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_elements((2, 1, 4), rng) for _ in range(200)]
    there = [elements for elements in drawn if elements is not None]
    assert len(there) > 180
    assert all(len(set(elements)) == 3 for elements in there)
    balanced = [balances(elements, (2, 1, 4)) for elements in there]
    assert 0.75 < np.mean(balanced) <= 1.0
    assert all(charges(element) for element in ELEMENTS)


def test_atoms_of_random_cells_keep_apart() -> None:
    for atoms in random_cells(20, np.random.default_rng(4)):
        assert len(atoms) == 1 or radius_ratio(atoms) > CLOSEST


def test_published_prototypes_get_volumes_a_scan_can_mend() -> None:
    assert len(published()) > 200
    # conventional lattice constants, measured
    for elements, constant in ((("Na", "Cl"), 5.64), (("Mg", "O"), 4.21)):
        cell = at_usual_volume(decorate("B1-rocksalt", elements, 0.8))
        volume = 4 * cell.get_volume() / (len(cell) / 2)
        assert volume == pytest.approx(constant**3, rel=0.3)


def test_compositions_are_held_out_whole_and_in_the_stated_share() -> None:
    cell = decorate("B1-rocksalt", ("Li", "Cl"), CONTACT)
    assert is_heldout(cell) == is_heldout(cell * (2, 1, 1))
    assert not is_heldout(decorate("fcc", ("Li",), CONTACT))
    rng = np.random.default_rng(0)
    mixtures = [rng.choice(ELEMENTS, 8) for _ in range(1500)]
    held = [is_heldout(Atoms([str(e) for e in mixed])) for mixed in mixtures]
    assert np.mean(held) == pytest.approx(HELDOUT_FRACTION, abs=0.03)


def test_reference_energies_recover_an_additive_energy() -> None:
    from ase.calculators.singlepoint import SinglePointCalculator

    truth = {"Li": -2.0, "Cl": -3.5}
    frames = []
    for elements in (("Li", "Li"), ("Li", "Cl"), ("Cl", "Cl")):
        frame = decorate("B1-rocksalt", elements, CONTACT)
        energy = sum(truth[s] for s in frame.get_chemical_symbols())
        frame.calc = SinglePointCalculator(frame, energy=energy)
        frames += 400 * [frame]
    fitted = fit_reference_energies(frames)
    assert fitted[3] == pytest.approx(truth["Li"], abs=1e-3)
    assert fitted[17] == pytest.approx(truth["Cl"], abs=1e-3)
    assert fitted[73] == pytest.approx(0.0, abs=1e-9)


def test_the_replay_set_is_small_whole_and_split_by_composition() -> None:
    facts = assets.manifest()
    assert (assets.FOLDER / facts["replay_file"]).stat().st_size <= LIMIT
    replay = assets.load_replay()
    parts = {"train": replay.train, "heldout": replay.heldout}
    formulas = {}
    for name, items in parts.items():
        assert len(items) >= 200
        for item in items:
            assert len(item.atoms) <= REPLAY_ATOMS
            assert item.label.forces.shape == item.atoms.positions.shape
            assert np.isfinite(item.label.forces).all()
            assert np.isfinite(item.label.energy)
            assert item.label.stress is not None
            assert is_heldout(item.atoms) == (name == "heldout")
        formulas[name] = {
            i.atoms.symbols.formula.reduce()[0].format("hill") for i in items
        }
    assert formulas["train"].isdisjoint(formulas["heldout"])
    covered = {s for i in replay.train for s in i.atoms.get_chemical_symbols()}
    assert covered == set(facts["elements"]) <= set(ELEMENTS)
