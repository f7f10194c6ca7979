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
from pretraining.dataset import HELDOUT_FRACTION, fit_reference_energies, is_heldout
from pretraining.prototypes import (
    BINARY,
    ELEMENTAL,
    ELEMENTS,
    TERNARY,
    decorate,
    radius_ratio,
)

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
    assert covered == set(facts["elements"]) == set(ELEMENTS)
