"""Build a periodic stack of two crystals whose surface lattices match."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.io import read

from fire_core.config.system import FileSystem, InterfaceSystem
from fire_core.errors import StructureError
from fire_core.structures.crystals import build_crystal
from fire_core.structures.sanity import find_problems
from fire_core.structures.slabs import cut_slab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from fire_core.config.system import SlabConfig, SystemConfig

MAX_ANGLE: Final = 0.1
"""Largest relative mismatch of the two in-plane angles."""


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Two surface supercells that fit each other.

    Attributes
    ----------
    bottom, top
        (2, 2) integer matrices; their rows combine each slab's in-plane vectors.
    strain
        Largest principal strain put on the top slab.
    n_atoms
        Atoms of the stacked cell.
    """

    bottom: NDArray[np.int64]
    top: NDArray[np.int64]
    strain: float
    n_atoms: int


def build_system(system: SystemConfig, base: Path) -> list[Atoms]:
    """Return the starting structures of a campaign.

    Parameters
    ----------
    system
        An interface to build, or a file to read.
    base
        Folder that a relative file path starts from.

    Raises
    ------
    StructureError
        Nothing fits, or the file is missing, unreadable, or holds a structure with
        overlapping atoms, NaN or no volume.
    """
    if isinstance(system, InterfaceSystem):
        return [build_interface(system)]
    return _read_structures(system, base)


def build_interface(system: InterfaceSystem) -> Atoms:
    """Return the smallest cell that stacks the two slabs within the limits.

    The lattices are matched by the algorithm of Zur and McGill (J. Appl. Phys. 55
    (1984) 378) as pymatgen has it; of the matches within `max_strain`, `min_width`
    and the limits on atoms, the one with the fewest atoms, then the least strain,
    is taken. The top slab is strained to the bottom one's lattice. Both contacts
    of the periodic stack have the same gap, measured between the outermost planes
    of atoms. Per-atom array `region`: 0 for the bottom slab, 1 for the top one.

    Raises
    ------
    StructureError
        No match is within the limits; the message names the nearest miss.
    """
    slabs = (
        _slab(system.bottom),
        _slab(system.top),
    )
    matches = sorted(_matches(slabs, system), key=lambda m: (m.n_atoms, m.strain))
    fitting = [
        m
        for m in matches
        if m.strain <= system.max_strain
        and system.min_atoms <= m.n_atoms <= system.max_atoms
        and _width(slabs[0], m.bottom) >= system.min_width
    ]
    if not fitting:
        raise StructureError(_explain_miss(system, matches))
    atoms = _stack(slabs, fitting[0], system.gap)
    problems = find_problems(atoms)
    if problems:
        msg = (
            f"the stacked cell has {problems[0].detail}; raise system.gap "
            f"(now {system.gap} Å)"
        )
        raise StructureError(msg)
    return atoms


def _slab(slab: SlabConfig) -> Atoms:
    return cut_slab(build_crystal(slab.crystal), slab.miller, slab.layers)


def _matches(slabs: tuple[Atoms, Atoms], system: InterfaceSystem) -> Iterator[Match]:
    from pymatgen.analysis.interfaces.zsl import ZSLGenerator

    bottom, top = (slab.cell.array[:2] for slab in slabs)
    sizes = [len(slab) / _area(slab.cell.array[:2]) for slab in slabs]
    search = ZSLGenerator(
        max_area_ratio_tol=2.5 * system.max_strain,
        max_area=system.max_atoms / sum(sizes) * (1 + system.max_strain),
        max_length_tol=1.5 * system.max_strain,
        max_angle_tol=MAX_ANGLE,
    )
    for match in search(top, bottom):
        on_bottom = _integers(match.substrate_sl_vectors, bottom)
        on_top = _integers(match.film_sl_vectors, top)
        n_atoms = round(
            abs(np.linalg.det(on_bottom)) * len(slabs[0])
            + abs(np.linalg.det(on_top)) * len(slabs[1])
        )
        strain = _largest_strain(on_top @ top[:, :2], on_bottom @ bottom[:, :2])
        yield Match(on_bottom, on_top, strain, n_atoms)


def _integers(vectors: object, lattice: NDArray[np.float64]) -> NDArray[np.int64]:
    ratio = np.asarray(vectors, float)[:, :2] @ np.linalg.inv(lattice[:, :2])
    return np.asarray(np.rint(ratio), np.int64)


def _largest_strain(start: NDArray[np.float64], end: NDArray[np.float64]) -> float:
    """Return the largest principal strain of the map between two 2D lattices."""
    stretches = np.linalg.svd(np.linalg.solve(start, end), compute_uv=False)
    return float(np.abs(stretches - 1.0).max())


def _area(vectors: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(np.cross(vectors[0], vectors[1])))


def _width(slab: Atoms, supercell: NDArray[np.int64]) -> float:
    """Return the shorter in-plane height of a supercell, Å."""
    vectors = supercell @ slab.cell.array[:2]
    return _area(vectors) / float(np.linalg.norm(vectors, axis=1).max())


def _supercell(slab: Atoms, supercell: NDArray[np.int64]) -> Atoms:
    matrix = np.eye(3, dtype=int)
    matrix[:2, :2] = supercell
    if np.linalg.det(supercell) < 0:
        matrix = matrix[[1, 0, 2]]
    return make_supercell(slab, matrix, wrap=False)


def _stack(slabs: tuple[Atoms, Atoms], match: Match, gap: float) -> Atoms:
    bottom = _supercell(slabs[0], match.bottom)
    top = _supercell(slabs[1], match.top)
    in_plane = _standard(bottom.cell.array[:2, :2])
    floor = 0.0
    parts = []
    for region, slab in enumerate((bottom, top)):
        height = float(np.ptp(slab.positions[:, 2]))
        cell = np.zeros((3, 3))
        cell[:2, :2] = in_plane
        cell[2, 2] = slab.cell.array[2, 2]
        part = slab.copy()
        part.set_cell(cell, scale_atoms=True)
        part.positions[:, 2] += floor - part.positions[:, 2].min()
        part.set_array("region", np.full(len(part), region))
        floor += height + gap
        parts.append(part)
    stacked = parts[0] + parts[1]
    cell = np.zeros((3, 3))
    cell[:2, :2] = in_plane
    cell[2, 2] = floor
    stacked.set_cell(cell)
    stacked.positions[:, 2] += gap / 2
    stacked.wrap()
    order = np.lexsort((stacked.numbers, stacked.arrays["region"]))
    return stacked[order]


def _standard(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the 2D lattice rotated so that its first vector lies along x."""
    a, b = vectors
    length = math.hypot(*a)
    along = float(a @ b) / length
    return np.array(
        [[length, 0.0], [along, abs(float(np.linalg.det(vectors))) / length]]
    )


def _explain_miss(system: InterfaceSystem, matches: list[Match]) -> str:
    names = f"{system.bottom.crystal}{list(system.bottom.miller)} and "
    names += f"{system.top.crystal}{list(system.top.miller)}"
    limits = (
        f"strain up to {system.max_strain}, {system.min_atoms} to {system.max_atoms} "
        f"atoms, width from {system.min_width} Å"
    )
    if not matches:
        return f"no cell matches {names} within {limits}; raise system.max_atoms"
    best = min(matches, key=lambda m: m.strain)
    return (
        f"no cell matches {names} within {limits}; nearest: {best.n_atoms} atoms with "
        f"strain {best.strain:.3f}; change the limits, the planes or the layers"
    )


def _read_structures(system: FileSystem, base: Path) -> list[Atoms]:
    path = base / system.path
    if not path.is_file():
        msg = f"no structure file at {path}; check system.path"
        raise StructureError(msg)
    try:
        found = read(path, index=system.index)
    except (OSError, ValueError, KeyError, IndexError, RuntimeError) as error:
        msg = f"{path} cannot be read as structures: {error}"
        raise StructureError(msg) from error
    frames = [found] if isinstance(found, Atoms) else list(found)
    for number, atoms in enumerate(frames):
        problems = find_problems(atoms)
        if problems:
            msg = (
                f"{path}, frame {number}: {problems[0].kind}: {problems[0].detail}; "
                "correct that frame or leave it out with `system.index`"
            )
            raise StructureError(msg)
    if not frames:
        msg = f"{path} holds no structure at index {system.index!r}"
        raise StructureError(msg)
    return [
        Atoms(f.numbers, positions=f.positions, cell=f.cell, pbc=f.pbc) for f in frames
    ]
