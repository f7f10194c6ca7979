"""Frames around seed structures: volumes, relaxation, rattles, hot atoms.

Many seeds go through it together, so that the potential which drives them is called
with a batch. What is kept is labelled by the teacher afterwards (`pretraining.label`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms, units
from ase.md.velocitydistribution import thermalize_momenta
from ase.neighborlist import neighbor_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.backbones.base import Backbone
    from fire_core.records import Label

MAX_FORCE: Final = 15.0
"""eV/Å: beyond, the teacher extrapolates and the student suffers."""
MAX_STRESS: Final = 0.6
"""eV/Å³, some 100 GPa: symmetry may hide in the forces how dense a cell is."""
MIN_DISTANCE: Final = 0.65
"""Å."""
MIN_VOLUME: Final = 4.0
MAX_VOLUME: Final = 300.0
"""Å³ for each atom: denser cells have thousands of neighbours, emptier ones none."""
SCAN: Final = {
    "scan": (0.88, 0.94, 1.0, 1.07, 1.15),
    "given": (0.96, 1.0, 1.04),
}
"""Linear scales of a seed, by whether its volume is a guess."""
RELAXATION_STEPS: Final = 20
KEPT_STEPS: Final = (2, 5, 9, 14, 19)
LONGEST_MOVE: Final = 0.15
"""Å an atom in a step of relaxation."""
LARGEST_STRAIN: Final = 0.03
RATTLES: Final = 3
MD_STEPS: Final = 14
MD_SAVE: Final = 7
TEMPERATURES: Final = (300.0, 1800.0)
"""K."""


def is_sane(atoms: Atoms) -> bool:
    """Return whether atoms are neither in nor out of each other's reach."""
    per_atom = atoms.get_volume() / len(atoms)
    if not MIN_VOLUME < per_atom < MAX_VOLUME:
        return False
    return not len(neighbor_list("i", atoms, MIN_DISTANCE))


def is_usable(prediction: Label) -> bool:
    """Return whether a label is finite, no force and no stress beyond its limit."""
    forces, stress = prediction.forces, prediction.stress
    finite = np.isfinite(prediction.energy) and np.isfinite(forces).all()
    if stress is not None and not np.abs(stress).max() <= MAX_STRESS:
        return False
    return bool(finite and np.abs(forces).max() <= MAX_FORCE)


def enrich(
    seeds: Sequence[Atoms], driver: Backbone, rng: np.random.Generator
) -> list[Atoms]:
    """Return unlabelled frames around seeds, each with `family` and `job` in info.

    Parameters
    ----------
    seeds
        With `family`, `job` and `plan` (a key of `SCAN`) in info.
    driver
        Potential that relaxes and heats them.
    rng
        Of rattles, strains and velocities.
    """
    frames, starts = scan_volumes(seeds, driver)
    relaxed, passed = relax(starts, driver)
    rattled = [perturb(atoms, rng) for atoms in relaxed for _ in range(RATTLES)]
    hot = heat([repeated(atoms) for atoms in relaxed], driver, rng)
    return [f for f in (*frames, *passed, *relaxed, *rattled, *hot) if is_sane(f)]


def scan_volumes(
    seeds: Sequence[Atoms], driver: Backbone
) -> tuple[list[Atoms], list[Atoms]]:
    """Return some of each seed's volumes, and the one of lowest energy."""
    scaled = [
        (number, _scaled(seed, scale))
        for number, seed in enumerate(seeds)
        for scale in SCAN[seed.info["plan"]]
    ]
    sane = [(number, atoms) for number, atoms in scaled if is_sane(atoms)]
    found = driver.predict([atoms for _, atoms in sane])
    frames: list[Atoms] = []
    best: dict[int, tuple[float, Atoms]] = {}
    for (number, atoms), prediction in zip(sane, found, strict=True):
        if not is_usable(prediction):
            continue
        frames.append(atoms)
        if number not in best or prediction.energy < best[number][0]:
            best[number] = (prediction.energy, atoms)
    return frames, [atoms.copy() for _, atoms in best.values()]


def relax(starts: Sequence[Atoms], driver: Backbone) -> tuple[list[Atoms], list[Atoms]]:
    """Return relaxed structures (in part), and those passed on the way.

    Steepest descent of positions and cell; a structure's step grows while its energy
    falls, and is halved when it does not.
    """
    moving = [atoms.copy() for atoms in starts]
    steps = np.ones(len(moving))
    energies = np.full(len(moving), np.inf)
    passed: list[Atoms] = []
    for step in range(RELAXATION_STEPS):
        found = driver.predict(moving)
        for i, prediction in enumerate(found):
            falls = prediction.energy <= energies[i]
            steps[i] *= 1.15 if falls else 0.5
            energies[i] = prediction.energy
            if np.isfinite(prediction.forces).all():
                _descend(moving[i], prediction, steps[i])
        if step in KEPT_STEPS[:-1]:
            passed += [atoms.copy() for atoms in moving]
    return moving, passed


def _descend(atoms: Atoms, prediction: Label, step: float) -> None:
    """Move atoms along forces and the cell along its stress, in place."""
    move = 0.03 * step * prediction.forces
    longest = np.sqrt((move**2).sum(axis=1)).max()
    atoms.positions += move * min(1.0, LONGEST_MOVE / max(longest, 1e-9))
    if prediction.stress is None:
        return
    xx, yy, zz, yz, xz, xy = -0.6 * step * prediction.stress
    strain = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    strain *= min(1.0, LARGEST_STRAIN / max(np.abs(strain).max(), 1e-9))
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)


def perturb(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Return a rattled (0.01 to 0.25 Å) and strained (up to 6 %) copy."""
    copy = repeated(atoms)
    strain = rng.uniform(-0.06, 0.06, (3, 3)) * rng.uniform()
    copy.set_cell(copy.cell[:] @ (np.eye(3) + (strain + strain.T) / 2), True)
    sigma = np.exp(rng.uniform(np.log(0.01), np.log(0.25)))
    copy.positions += rng.normal(0, sigma, copy.positions.shape)
    return copy


def heat(
    starts: Sequence[Atoms], driver: Backbone, rng: np.random.Generator
) -> list[Atoms]:
    """Return frames of a few steps at constant energy, each at its own temperature.

    Velocities are drawn at twice the temperature, half of which becomes potential
    energy.
    """
    moving = [atoms.copy() for atoms in starts]
    for atoms in moving:
        atoms.positions += rng.normal(0, 0.03, atoms.positions.shape)
        temperature = 2 * rng.uniform(*TEMPERATURES)
        thermalize_momenta(atoms, temperature, rng=rng)
    velocities = [atoms.get_velocities() for atoms in moving]
    masses = [atoms.get_masses()[:, None] for atoms in moving]
    timesteps = [(1.0 if 1 in a.numbers else 3.0) * units.fs for a in moving]
    alive = list(range(len(moving)))
    frames: list[Atoms] = []
    for step in range(1, MD_STEPS + 1):
        found = driver.predict([moving[i] for i in alive])
        usable = [is_usable(prediction) for prediction in found]
        for i, prediction in zip(alive, found, strict=True):
            velocities[i] += timesteps[i] * prediction.forces / masses[i]
            moving[i].positions += timesteps[i] * velocities[i]
        alive = [i for i, good in zip(alive, usable, strict=True) if good]
        if step % MD_SAVE == 0:
            frames += [_still(moving[i]) for i in alive]
    return frames


def repeated(atoms: Atoms) -> Atoms:
    """Return a cell that feels a rattle: one or two atoms are repeated."""
    copy = atoms * (2, 2, 1) if len(atoms) <= 2 else atoms.copy()
    copy.info = dict(atoms.info)
    return copy


def _scaled(seed: Atoms, scale: float) -> Atoms:
    scaled = seed.copy()
    scaled.pbc = True
    scaled.set_cell(seed.cell[:] * scale, scale_atoms=True)
    return scaled


def _still(atoms: Atoms) -> Atoms:
    copy = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    copy.info = dict(atoms.info)
    return copy
