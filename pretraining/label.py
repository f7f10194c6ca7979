"""Label the seed structures with SevenNet-0 and enrich them around each seed.

Runs in the teacher's own environment, where only ase, numpy and sevenn exist:
``python pretraining/label.py --jobs jobs.extxyz --out labels --part 0 --parts 2``.
Every job becomes one file, written whole and moved into place, so a killed run
continues where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.neighborlist import neighbor_list

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

MAX_FORCE = 15.0  # eV/Å: beyond, the teacher extrapolates and the student suffers
MIN_DISTANCE = 0.65  # Å
MIN_VOLUME = 4.0  # Å³ per atom: denser cells have thousands of neighbours
SCAN = (0.88, 0.94, 1.0, 1.07, 1.15, 1.25)  # linear scales of the seed
MD_STEPS = 16
MD_SAVE = 8


def label_frame(atoms: Atoms, teacher: Calculator) -> Atoms | None:
    """Return a labelled copy, or None where the label would be useless."""
    if atoms.get_volume() < MIN_VOLUME * len(atoms):
        return None
    if len(neighbor_list("i", atoms, MIN_DISTANCE)):
        return None
    frame = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    frame.calc = teacher
    energy = float(frame.get_potential_energy())
    forces, stress = frame.get_forces(), frame.get_stress()
    finite = np.isfinite(energy) and np.isfinite(forces).all()
    if not finite or np.abs(forces).max() > MAX_FORCE:
        return None
    frame.calc = SinglePointCalculator(
        frame, energy=energy, forces=forces, stress=stress
    )
    return frame


def perturbed(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Return a rattled (0.02 to 0.3 Å) and strained (up to 6 %) copy."""
    copy = atoms.copy()
    strain = rng.uniform(-0.06, 0.06, (3, 3)) * rng.uniform()
    copy.set_cell(copy.cell[:] @ (np.eye(3) + (strain + strain.T) / 2), True)
    sigma = np.exp(rng.uniform(np.log(0.02), np.log(0.3)))
    copy.positions += rng.normal(0, sigma, copy.positions.shape)
    return copy


def hot_frames(
    atoms: Atoms, teacher: Calculator, rng: np.random.Generator
) -> list[Atoms]:
    """Return frames of a short Langevin run at 300 to 2000 K."""
    temperature = rng.uniform(300, 2000)
    moving = atoms.copy()
    moving.positions += rng.normal(0, 0.05, moving.positions.shape)
    moving.calc = teacher
    thermalize_momenta(moving, 2 * temperature, rng=rng)
    dynamics = Langevin(
        moving,
        timestep=(1.0 if 1 in moving.numbers else 4.0) * units.fs,
        temperature_K=temperature,
        friction=0.02 / units.fs,
        rng=rng,
    )
    frames = []
    for _ in range(MD_STEPS // MD_SAVE):
        dynamics.run(MD_SAVE)
        frame = label_frame(moving, teacher)
        if frame is None:
            break
        frames.append(frame)
    return frames


def run_job(seed: Atoms, teacher: Calculator) -> list[Atoms]:
    """Return the labelled frames around one seed structure."""
    digest = hashlib.sha256(seed.info["job"].encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    scales = SCAN if seed.info["plan"] == "scan" else (0.97, 1.0, 1.03)
    scan = []
    for scale in scales:
        scaled = seed.copy()
        scaled.pbc = True
        scaled.set_cell(seed.cell[:] * scale, scale_atoms=True)
        frame = label_frame(scaled, teacher)
        if frame is not None:
            scan.append(frame)
    if not scan:
        return []
    best = min(scan, key=lambda frame: frame.get_potential_energy())
    if len(best) <= 2:  # a cell this small hardly feels a rattle
        best = best * (2, 2, 1)
    n_rattled = 3 if seed.info["plan"] == "scan" else 5
    rattled = [label_frame(perturbed(best, rng), teacher) for _ in range(n_rattled)]
    n_runs = 1 if seed.info["plan"] == "scan" or len(seed) > 60 else 2
    hot = [f for _ in range(n_runs) for f in hot_frames(best, teacher, rng)]
    frames = [*scan, *(f for f in rattled if f is not None), *hot]
    for frame in frames:
        frame.info.update(family=seed.info["family"], job=seed.info["job"])
    return frames


def main() -> int:
    """Label this part of the jobs; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    arguments = parser.parse_args()
    import torch
    from sevenn.calculator import SevenNetCalculator

    torch.set_num_threads(1)
    teacher = SevenNetCalculator("7net-0", device="cpu")
    arguments.out.mkdir(parents=True, exist_ok=True)
    jobs = read(arguments.jobs, index=":")[arguments.part :: arguments.parts]
    start = time.monotonic()
    for number, seed in enumerate(jobs):
        target = arguments.out / f"{seed.info['job']}.extxyz"
        if target.exists():
            continue
        frames = run_job(seed, teacher)
        partial = target.with_suffix(f".partial{arguments.part}")
        if frames:
            write(partial, frames, format="extxyz")
        else:
            partial.touch()
        partial.replace(target)
        if number % 20 == 0:
            elapsed = time.monotonic() - start
            sys.stdout.write(f"{number + 1}/{len(jobs)} jobs, {elapsed:.0f} s\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
