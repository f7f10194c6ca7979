"""A model of more elements is the old one where it was, and an analog elsewhere."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from fire_core.backbones.assets import load_replay
from fire_core.backbones.mace import MaceBackbone
from fire_core.backbones.registry import load_backbone
from fire_core.records import LabelledStructure
from fire_core.structures.content import structure_key
from pretraining.chemistry import ELEMENTS
from pretraining.extend import ANALOGS, extend_elements, refit_energies
from pretraining.train import TrainingPlan, begin, read_part
from tests.training.conftest import make_backbone

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms


@pytest.fixture(scope="module")
def small() -> MaceBackbone:
    """Random weights that know Li and Cl."""
    return make_backbone(dtype="float64")


@pytest.fixture(scope="module")
def large(small: MaceBackbone) -> MaceBackbone:
    """The same that knows sodium, which begins as lithium, and bromine."""
    more = [*small.elements, "Na", "Br"]
    analogs = {"Na": "Li", "Br": "Cl"}
    network = extend_elements(small.model, more, analogs).double()
    return MaceBackbone(
        network, name="large", sha256="1" * 64, device="cpu", dtype="float64"
    )


def salt(symbols: str, seed: int = 1) -> Atoms:
    atoms = bulk(symbols, "rocksalt", a=5.2, cubic=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


def test_known_elements_are_computed_as_before(
    small: MaceBackbone, large: MaceBackbone
) -> None:
    (before,), (after,) = (m.predict([salt("LiCl")]) for m in (small, large))
    assert after.energy == pytest.approx(before.energy, rel=1e-12)
    assert after.forces == pytest.approx(before.forces, abs=1e-10)
    assert after.stress == pytest.approx(before.stress, abs=1e-10)
    assert np.abs(before.forces).max() > 1e-3
    assert large.elements == small.elements | {"Na", "Br"}


def test_a_new_element_begins_as_its_analog(large: MaceBackbone) -> None:
    """But for the repulsion of nuclei, which none is near enough to feel here."""
    known, new = large.predict([salt("LiCl"), salt("NaBr")])
    assert new.energy == pytest.approx(known.energy, rel=1e-6)
    assert new.forces == pytest.approx(known.forces, abs=1e-6)


def test_references_take_up_what_a_composition_alone_explains(
    large: MaceBackbone,
) -> None:
    truth = {"Li": 0.5, "Cl": -1.0, "Na": 2.0, "Br": 0.0}
    frames = [
        *(salt(s, seed) for s in ("LiCl", "NaCl", "NaBr") for seed in range(40)),
        *(bulk(s, "bcc", a=3.5, cubic=True) for s in truth for _ in range(40)),
    ]
    items = []
    for frame, label in zip(frames, large.predict(frames), strict=True):
        more = sum(truth[s] for s in frame.get_chemical_symbols())
        moved = dataclasses.replace(label, energy=label.energy + more)
        items.append(LabelledStructure(structure_key(frame), frame, moved, "t"))
    fitted = refit_energies(large, items)
    for symbol, number in {"Li": 3, "Cl": 17, "Na": 11, "Br": 35}.items():
        expected = large.atomic_energies[symbol] + truth[symbol]
        assert fitted[number] == pytest.approx(expected, abs=1e-3)


def test_every_element_of_the_bundled_model_has_a_beginning() -> None:
    first = set(ELEMENTS) - set(ANALOGS)
    assert len(first) == 21
    assert set(ANALOGS.values()) <= first


def test_a_training_begins_with_the_bundled_weights_at_the_labels_energies() -> None:
    """An eV more on each lithium of the labels is in its reference, and in no force."""
    items = load_replay().train[::6]
    more = []
    for item in items:
        energy = item.label.energy + item.atoms.symbols.count("Li")
        label = dataclasses.replace(item.label, energy=energy)
        more.append(dataclasses.replace(item, label=label))
    plain, shifted = (
        MaceBackbone(
            begin(given, {}, TrainingPlan()),
            name="begun",
            sha256="2" * 64,
            device="cpu",
            dtype="float32",
        )
        for given in (items, more)
    )
    assert plain.elements == set(ELEMENTS)
    rise = shifted.atomic_energies["Li"] - plain.atomic_energies["Li"]
    assert rise == pytest.approx(1.0, abs=0.05)
    mini = load_backbone("fire-mini", device="cpu")
    frames = [item.atoms for item in items[:50]]
    for new, old in zip(shifted.predict(frames), mini.predict(frames), strict=True):
        assert new.forces == pytest.approx(old.forces, abs=1e-4)


def test_a_part_leaves_out_large_forces_and_counts_families_twice(
    tmp_path: Path,
) -> None:
    frames = []
    for family, force in (("crystal", 0.1), ("binary", 3.0), ("crystal", 9.0)):
        frame = salt("LiCl")
        frame.info["family"] = family
        forces = np.full((8, 3), force)
        frame.calc = SinglePointCalculator(frame, energy=-1.0, forces=forces)
        frames.append(frame)
    path = tmp_path / "train.extxyz"
    write(path, frames)
    plan = TrainingPlan(largest_force=4.0, twice=("crystal",))
    for twice, expected in ((False, [0.1, 3.0]), (True, [0.1, 3.0, 0.1])):
        items = read_part(path, plan, twice=twice)
        assert [i.label.forces.max() for i in items] == expected
