"""Sound labels of another theory than fire-mini's, to be broken on purpose."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.registry import load_backbone
from fire_core.evaluation.doctor.dataset import Dataset, Predictions
from fire_core.evaluation.references import shift_energies
from fire_core.records import Label, LabelledStructure
from fire_core.structures.content import structure_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone

LATTICE = {"LiCl": 5.1, "LiF": 4.05, "NaCl": 5.65}


@pytest.fixture(scope="session")
def mini() -> Backbone:
    return load_backbone("fire-mini", device="cpu", dtype="float64", threads=1)


def make_frames(symbols: str, n: int, seed: int, repeat: int = 2) -> list[Atoms]:
    """Rocksalt cells of 8 × `repeat`² atoms, rattled, and strained by up to 4 %."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        cell = bulk(symbols, "rocksalt", a=LATTICE[symbols], cubic=True)
        atoms = cell.repeat((repeat, repeat, 1))
        atoms.set_cell(atoms.cell * rng.uniform(0.96, 1.04), scale_atoms=True)
        atoms.positions += rng.normal(0, rng.uniform(0.03, 0.15), (len(atoms), 3))
        frames.append(atoms)
    return frames


def other_theory(
    frames: Sequence[Atoms], backbone: Backbone, seed: int
) -> list[LabelledStructure]:
    """Labels near fire-mini's: stiffer, noisy, with another zero of pressure."""
    rng = np.random.default_rng(seed)
    items = []
    for atoms, label in zip(frames, backbone.predict(frames), strict=True):
        noise = rng.normal(0, 0.03, label.forces.shape)
        forces = 1.1 * label.forces + noise - noise.mean(axis=0)
        energy = label.energy + len(atoms) * rng.normal(0, 0.002)
        stress = 1.1 * label.stress + rng.normal(0, 5e-4, 6) - np.eye(3, 6)[0] * 4e-3
        item = LabelledStructure(
            structure_key(atoms), atoms, Label(energy, forces, stress), ""
        )
        items.append(item)
    return items


def dataset(items: Sequence[LabelledStructure]) -> Dataset:
    return Dataset(list(items), list(range(len(items))), {}, {})


def relabel(
    items: Sequence[LabelledStructure],
    change: Callable[[LabelledStructure], Label],
    chosen: Sequence[int] | None = None,
) -> list[LabelledStructure]:
    """Return items with the label of some, or of all, replaced."""
    which = range(len(items)) if chosen is None else chosen
    return [
        replace(item, label=change(item)) if i in which else item
        for i, item in enumerate(items)
    ]


def shifted(
    items: Sequence[LabelledStructure], shift: dict[str, float]
) -> list[LabelledStructure]:
    labels = shift_energies([i.label for i in items], [i.atoms for i in items], shift)
    return [
        replace(item, label=label) for item, label in zip(items, labels, strict=True)
    ]


def predict_all(items: Sequence[LabelledStructure], backbone: Backbone) -> Predictions:
    labels = backbone.predict([item.atoms for item in items])
    return Predictions(dict(enumerate(labels)), list(range(len(items))))


@pytest.fixture(scope="session")
def sound(mini: Backbone) -> list[LabelledStructure]:
    frames = [*make_frames("LiCl", 12, 0), *make_frames("LiF", 12, 1)]
    return other_theory(frames, mini, 2)


@pytest.fixture(scope="session")
def predictions(sound: list[LabelledStructure], mini: Backbone) -> Predictions:
    return predict_all(sound, mini)
