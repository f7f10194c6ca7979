"""Propose the seed structures of pre-training, deterministically from one seed.

Each seed structure is scanned in volume, relaxed, rattled, strained and heated
(`pretraining.enrich`), so one seed gives some fifteen labelled frames.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.io import write

from fire_core.config.system import InterfaceSystem, SlabConfig
from fire_core.errors import StructureError
from fire_core.structures.crystals import build_crystal
from fire_core.structures.interfaces import build_interface
from pretraining.chemistry import ELEMENTS, draw_elements
from pretraining.prototypes import (
    BINARY,
    ELEMENTAL,
    TERNARY,
    decorate,
    scale_to_ratio,
)
from pretraining.published import decorated
from pretraining.random_cells import random_cells

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

ANIONS: Final = ("O", "F", "S", "Cl", "N", "Se", "Br", "I", "Te")
TERNARIES: Final = 400
RANDOM_CELLS: Final = 900
# Chemistry of the six systems, which gets extra ternaries.
SYSTEMS: Final = (
    ("Na", "Sb", "S"),
    ("Li", "P", "S", "Cl"),
    ("Li", "P", "B", "S", "O"),
    ("Li", "C", "O", "F"),
    ("Li", "La", "Zr", "Ta", "O"),
    ("Li", "Ga", "Cl", "F"),
)
PAIRS: Final = (
    ("Na", "Na3SbS4"),
    ("Li", "Li6PS5Cl"),
    ("Li2CO3", "LiF"),
    ("LiCl", "GaF3"),
    ("LiF", "LiCl"),
    ("Li", "LiCl"),
    ("Li", "LiF"),
    ("Li2O", "Li"),
    ("Li2S", "LiCl"),
    ("Li2S", "Li"),
)
GAPS: Final = (2.3, 2.0, 2.6, 3.2)  # Å
MOLECULES: Final = (
    *("H2", "O2", "N2", "Cl2", "F2", "CO2", "CO", "H2O", "HF", "HCl", "CH4", "NH3"),
    *("PH3", "SiH4", "LiH", "LiF", "NaCl", "SO2", "BF3", "AlCl3", "BCl3", "S2", "P2"),
)


def generate(seed: int) -> list[Atoms]:
    """Return every seed structure, each with `job`, `family` and `plan` in info.

    The plan is `scan` where the volume is unknown and `given` where it is known.
    """
    rng = np.random.default_rng(seed)
    jobs: list[Atoms] = []
    for family, plan, structures in (
        ("element", "scan", _elements()),
        ("binary", "scan", _binaries(rng)),
        ("ternary", "scan", _ternaries(rng)),
        ("mixture", "scan", _mixtures(rng)),
        ("published", "scan", decorated(rng)),
        ("random", "scan", random_cells(RANDOM_CELLS, rng)),
        ("crystal", "given", _crystals(rng)),
        ("molecule", "given", _molecules()),
        ("interface", "given", _interfaces()),
    ):
        for number, atoms in enumerate(structures):
            atoms.info = {"job": f"{family}-{number:04d}", "family": family}
            atoms.info["plan"] = plan
            jobs.append(atoms)
    return jobs


def write_jobs(path: Path, seed: int) -> int:
    """Write the jobs as extxyz; return how many."""
    jobs = generate(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    write(partial, jobs, format="extxyz")
    partial.replace(path)
    logger.info("%d jobs in %s", len(jobs), path)
    return len(jobs)


def _elements() -> Iterator[Atoms]:
    for element, prototype in itertools.product(ELEMENTS, ELEMENTAL):
        yield decorate(prototype, (element,), 1.1)


def _binaries(rng: np.random.Generator) -> Iterator[Atoms]:
    for a, b in itertools.combinations(ELEMENTS, 2):
        ionic = (a in ANIONS) != (b in ANIONS)
        if not ionic and rng.uniform() < 0.6:
            continue
        for prototype in rng.choice(BINARY, size=2 if ionic else 1, replace=False):
            cation, anion = (b, a) if a in ANIONS and b not in ANIONS else (a, b)
            cell = decorate(str(prototype), (cation, anion), 1.05)
            yield cell * _repeat(rng) if len(cell) <= 4 else cell


def _ternaries(rng: np.random.Generator) -> Iterator[Atoms]:
    for _ in range(TERNARIES):
        prototype = str(rng.choice(TERNARY))
        elements = draw_elements(_sites(prototype), rng)
        if elements is not None:
            yield decorate(prototype, elements, 1.05)
    for system in SYSTEMS:
        for _ in range(30):
            drawn = tuple(str(e) for e in rng.choice(system, 3, replace=False))
            ordered = tuple(sorted(drawn, key=lambda e: e in ANIONS))
            yield decorate(str(rng.choice(TERNARY)), ordered, 1.05)


def _sites(prototype: str) -> tuple[int, int, int]:
    """Return how many sites of each kind a ternary prototype's cell has."""
    symbols = decorate(prototype, ("Li", "Zr", "O"), 1.05).get_chemical_symbols()
    return symbols.count("Li"), symbols.count("Zr"), symbols.count("O")


def _repeat(rng: np.random.Generator) -> tuple[int, int, int]:
    repeats = [1, 1, 1]
    repeats[rng.integers(3)] += int(rng.integers(2))
    return (repeats[0], repeats[1], repeats[2])


def _mixtures(rng: np.random.Generator) -> Iterator[Atoms]:
    """Yield cells whose sites hold a random mix of one system's elements."""
    for number in range(180):
        system = SYSTEMS[number % len(SYSTEMS)]
        prototype = str(rng.choice(["B1-rocksalt", "C1-fluorite", "B2-CsCl", "fcc"]))
        cell = decorate(prototype, ("Li", "Cl"), 1.05) * (2, 2, 1)
        cell.symbols[:] = [str(e) for e in rng.choice(system, len(cell))]
        cell.positions += rng.normal(0, 0.1, cell.positions.shape)
        yield scale_to_ratio(cell, 0.95)


def _crystals(rng: np.random.Generator) -> Iterator[Atoms]:
    for name, repeats in {
        "Li": 4, "Na": 4, "LiCl": 6, "LiF": 6, "Li2O": 4, "Li2S": 4, "GaF3": 10,
        "Li2CO3": 10, "Na3SbS4": 10, "Li3PS4": 10, "Li6PS5Cl": 8,
    }.items():  # fmt: skip
        cell = build_crystal(name)
        cell = cell if len(cell) > 2 else cell * (2, 2, 2)
        if name == "Li6PS5Cl":
            cell = _face_centred_primitive(cell)
        for copy in range(repeats):
            yield cell.copy() if copy % 2 == 0 else _defective(cell, rng)
    garnet = _body_centred_primitive(build_crystal("LLZO"))
    for n_ta in (0, 0, 1, 2, 3, 4):
        doped = garnet.copy()
        zirconium = rng.permutation([a.index for a in doped if a.symbol == "Zr"])
        lithium = rng.permutation([a.index for a in doped if a.symbol == "Li"])
        for index in zirconium[:n_ta]:
            doped[int(index)].symbol = "Ta"
        del doped[[int(i) for i in lithium[:n_ta]]]
        yield doped


def _defective(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Return a copy with one vacancy, exchange or substitution."""
    changed = atoms.copy()
    kind = rng.choice(["vacancy", "exchange", "substitute"])
    i, j = (int(k) for k in rng.choice(len(changed), 2, replace=False))
    if kind == "vacancy" and len(changed) > 4:
        del changed[i]
    elif kind == "exchange":
        numbers = changed.numbers.copy()
        numbers[[i, j]] = numbers[[j, i]]
        changed.numbers = numbers
    else:
        changed[i].symbol = str(rng.choice(ELEMENTS))
    return changed


def _face_centred_primitive(atoms: Atoms) -> Atoms:
    return _reduced(atoms, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def _body_centred_primitive(atoms: Atoms) -> Atoms:
    return _reduced(atoms, [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])


def _reduced(atoms: Atoms, lattice: list[list[float]]) -> Atoms:
    """Return the cell with the given vectors (in fractions), duplicates merged."""
    cell = np.array(lattice) @ atoms.cell[:]
    scaled = np.linalg.solve(cell.T, atoms.positions.T).T % 1.0
    scaled = np.where(scaled > 1 - 1e-5, 0.0, scaled)
    _, first = np.unique(np.round(scaled, 4), axis=0, return_index=True)
    first.sort()
    reduced = Atoms(atoms.numbers[first], cell=cell, pbc=True)
    reduced.set_scaled_positions(scaled[first])
    return reduced


def _molecules() -> Iterator[Atoms]:
    for name in MOLECULES:
        atoms = molecule(name)
        atoms.set_initial_magnetic_moments(None)
        atoms.center(vacuum=3.5)
        atoms.pbc = True
        yield atoms


def _interfaces() -> Iterator[Atoms]:
    """Yield stacks of two slabs in all pairings of two planes each."""
    for bottom, top in PAIRS:
        pairings = itertools.product(_planes(bottom), _planes(top))
        for (lower, upper), gap in zip(pairings, GAPS, strict=True):
            system = InterfaceSystem(
                bottom=SlabConfig(crystal=bottom, miller=lower, layers=2),
                top=SlabConfig(crystal=top, miller=upper),
                gap=gap,
                max_strain=0.12,
                max_atoms=64,
            )
            try:
                atoms = build_interface(system)
            except StructureError as error:
                logger.info("left out: %s", error)
                continue
            del atoms.arrays["region"]
            yield atoms


def _planes(name: str) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return ((0, 1, 2), (1, 1, 0)) if name == "GaF3" else ((0, 0, 1), (1, 1, 0))
