"""Try a backbone: it predicts, and its forces are the slopes of its energy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.backbones.base import drives_dynamics, has_features
from fire_core.backbones.trainable import is_trainable

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.base import Backbone

STEP: Final = 0.01
"""Å (and strain) on either side, for the slopes of the energy."""
SLOPE: Final = 0.02
"""eV/Å that a force may differ from the slope, and the same share of the largest."""
CRYSTALS: Final = (
    ("LiCl", 5.13),
    ("NaCl", 5.64),
    ("MgO", 4.21),
)
"""Rock salts and their lattice constants, Å."""


@dataclass(frozen=True, slots=True)
class BackboneCheck:
    """How a backbone did on a small crystal with its atoms displaced.

    Attributes
    ----------
    name
        Of the backbone.
    sha256
        Hash of its weights.
    formula
        Of the crystal.
    energy_per_atom
        eV.
    largest_force
        Largest component, eV/Å.
    force_error
        Largest difference of a force from the slope of the energy, eV/Å.
    stress_error
        The same of the stress along the strained axis, eV/Å³; None: it gives none.
    seconds
        Of one prediction, after a first one.
    trained, dynamics, features
        Whether it can be fine-tuned, drives batched dynamics, gives atoms' features.
    sound
        Whether its numbers are finite and its forces the slopes of its energy.
    verdict
        In words.
    """

    name: str
    sha256: str
    formula: str
    energy_per_atom: float
    largest_force: float
    force_error: float
    stress_error: float | None
    seconds: float
    trained: bool
    dynamics: bool
    features: bool
    sound: bool
    verdict: str


def check_backbone(backbone: Backbone) -> BackboneCheck:
    """Predict a small crystal with a backbone and judge what it says."""
    atoms = _crystal(backbone.elements)
    backbone.predict([atoms])
    start = time.perf_counter()
    label = backbone.predict([atoms])[0]
    seconds = time.perf_counter() - start
    # along the axis of the largest force, where a wrong one differs most
    axes = np.abs(label.forces).argmax(axis=1).tolist()
    force_error = max(
        abs(label.forces[atom, axes[atom]] + _slope(backbone, atoms, atom, axes[atom]))
        for atom in (0, len(atoms) // 2, len(atoms) - 1)
    )
    stress_error = None
    if label.stress is not None:
        slope = _strain_slope(backbone, atoms) / atoms.get_volume()
        stress_error = float(abs(label.stress[2] - slope))
    largest = float(np.abs(label.forces).max())
    finite = bool(np.isfinite([label.energy, largest, force_error]).all())
    is_slope = bool(force_error <= SLOPE * (1 + largest))
    verdict = "its forces are the slopes of its energy"
    if not finite:
        verdict = "it predicts numbers that are not finite: do not use it"
    elif not is_slope:
        verdict = (
            f"its forces differ by {force_error:.2g} eV/Å from the slopes of its "
            "energy: they are another output of the network, energy is not conserved "
            "in dynamics, and gates that ask for it fail"
        )
    return BackboneCheck(
        name=backbone.name,
        sha256=backbone.sha256,
        formula=atoms.get_chemical_formula(),
        energy_per_atom=label.energy / len(atoms),
        largest_force=largest,
        force_error=float(force_error),
        stress_error=stress_error,
        seconds=seconds,
        trained=is_trainable(backbone),
        dynamics=drives_dynamics(backbone),
        features=has_features(backbone),
        sound=finite and is_slope,
        verdict=verdict,
    )


def _crystal(elements: frozenset[str]) -> Atoms:
    """Return a rattled cell of a rock salt, or diamond of the first element."""
    from ase.build import bulk  # a second of imports
    from ase.data import atomic_numbers, covalent_radii
    from ase.formula import Formula

    first = min(elements, key=lambda symbol: atomic_numbers[symbol])
    atoms = bulk(
        first, "diamond", a=2.3 * 2 * covalent_radii[atomic_numbers[first]], cubic=True
    )
    for formula, constant in CRYSTALS:
        if set(Formula(formula)) <= elements:
            atoms = bulk(formula, "rocksalt", a=constant, cubic=True)
            break
    rng = np.random.default_rng(0)
    atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    return atoms


def _slope(backbone: Backbone, atoms: Atoms, atom: int, axis: int) -> float:
    """Return the slope of the energy along a coordinate, eV/Å."""
    moved = [atoms.copy(), atoms.copy()]
    for sign, copy in zip((1, -1), moved, strict=True):
        copy.positions[atom, axis] += sign * STEP
    up, down = (label.energy for label in backbone.predict(moved))
    return (up - down) / (2 * STEP)


def _strain_slope(backbone: Backbone, atoms: Atoms) -> float:
    """Return the slope of the energy along a strain of the third axis, eV."""
    strained = [atoms.copy(), atoms.copy()]
    for sign, copy in zip((1, -1), strained, strict=True):
        strain = np.eye(3)
        strain[2, 2] += sign * STEP
        copy.set_cell(copy.cell.array @ strain, scale_atoms=True)
    up, down = (label.energy for label in backbone.predict(strained))
    return (up - down) / (2 * STEP)
