"""Stack two crystals whose surface lattices match, or read starting structures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.io import read

from fire_core.config.system import FileSystem, InterfaceSystem
from fire_core.errors import StructureError
from fire_core.structures.crystals import build_bulk
from fire_core.structures.matching import (
    Match,
    explain_miss,
    find_matches,
    is_fitting,
)
from fire_core.structures.polarity import find_polarity
from fire_core.structures.sanity import find_problems
from fire_core.structures.slabs import cut_slab, list_terminations

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fire_core.config.system import SlabConfig, SystemConfig
    from fire_core.structures.crystals import Bulk
    from fire_core.structures.polarity import Polarity
    from fire_core.structures.slabs import Termination


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One slab of an interface, before it is repeated and strained.

    Attributes
    ----------
    config
        What was asked for.
    bulk
        The crystal that it was cut from.
    slab
        The smallest surface cell.
    terminations
        All ways to cut; `config.termination` is the one taken.
    polarity
        Of `slab`.
    """

    config: SlabConfig
    bulk: Bulk
    slab: Atoms
    terminations: list[Termination]
    polarity: Polarity

    @property
    def taken(self) -> Termination:
        """The cut that was made."""
        return self.terminations[self.config.termination]


@dataclass(frozen=True, slots=True, eq=False)
class Interface:
    """An interface and how it came about.

    Attributes
    ----------
    atoms
        The stack; array `region` is 0 for the bottom slab and 1 for the top one.
    bottom, top
        Its two slabs.
    matches
        All that fit the limits, ranked.
    match
        The one that was built.
    """

    atoms: Atoms
    bottom: Side
    top: Side
    matches: list[Match]
    match: Match


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
    """Return the stacked cell of `examine_interface` alone."""
    return examine_interface(system).atoms


def examine_interface(system: InterfaceSystem) -> Interface:
    """Return the cell that stacks the two slabs, with what it was chosen from.

    Of the matches within the limits (see `find_matches`), number `system.match` is
    taken. The top slab is strained to the bottom one's lattice. Without vacuum both
    contacts of the periodic stack have the same gap, measured between the outermost
    planes of atoms.

    Raises
    ------
    StructureError
        No match is within the limits; the message names the nearest miss. Or atoms of
        the two slabs overlap.
    """
    sides = (_cut(system.bottom), _cut(system.top))
    slabs = (sides[0].slab, sides[1].slab)
    found = find_matches(slabs, system)
    fitting = [match for match in found if is_fitting(match, system)]
    if not fitting:
        raise StructureError(explain_miss(system, found))
    if system.match >= len(fitting):
        msg = (
            f"{len(fitting)} matches are within the limits, numbered from 0, got "
            f"system.match: {system.match}; `fire system show` lists them"
        )
        raise StructureError(msg)
    match = fitting[system.match]
    atoms = _stack(slabs, match, system)
    problems = find_problems(atoms)
    if problems:
        msg = (
            f"in the stacked cell {problems[0].detail}; raise system.gap "
            f"(now {system.gap} Å)"
        )
        raise StructureError(msg)
    return Interface(atoms, sides[0], sides[1], fitting, match)


def _cut(config: SlabConfig) -> Side:
    bulk = build_bulk(config)
    slab = cut_slab(
        bulk.atoms,
        config.miller,
        config.layers or 1,
        thickness=config.thickness,
        termination=config.termination,
        conventional=bulk.conventional,
    )
    known = config.order.oxidation
    if bulk.ordering is not None:
        known = dict(bulk.ordering.oxidation)
    return Side(
        config=config,
        bulk=bulk,
        slab=slab,
        terminations=list_terminations(bulk.atoms, config.miller, bulk.conventional),
        polarity=find_polarity(slab, known),
    )


def _turn_over(slab: Atoms) -> Atoms:
    """Return a slab turned about x by half a turn, in-plane vectors exchanged.

    The two vectors trade places so that the cell stays right-handed.
    """
    turned = slab.copy()
    turned.positions[:, 1:] *= -1
    cell = slab.cell.array.copy()
    cell[:2, 1] *= -1
    turned.set_cell(cell[[1, 0, 2]])
    return turned


def _supercell(slab: Atoms, supercell: NDArray[np.int64]) -> Atoms:
    matrix = np.eye(3, dtype=int)
    matrix[:2, :2] = supercell
    if np.linalg.det(supercell) < 0:
        matrix = matrix[[1, 0, 2]]
    return make_supercell(slab, matrix, wrap=False)


def _stack(slabs: tuple[Atoms, Atoms], match: Match, system: InterfaceSystem) -> Atoms:
    bottom = _supercell(slabs[0], match.bottom)
    top = _supercell(slabs[1], match.top)
    if match.is_turned:
        top = _turn_over(top)
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
        floor += height + system.gap
        parts.append(part)
    stacked = parts[0] + parts[1]
    cell = np.zeros((3, 3))
    cell[:2, :2] = in_plane
    # with vacuum there is no second contact, and no gap of one
    empty = system.vacuum or system.gap
    cell[2, 2] = floor - system.gap + empty
    stacked.set_cell(cell)
    stacked.positions[:, 2] += empty / 2
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
