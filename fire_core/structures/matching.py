"""Match the surface lattices of two slabs and rank what fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.config.system import InterfaceSystem

    Array = NDArray[np.float64]

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
    angle
        In-plane angle of the top supercell less that of the bottom one, before
        straining, degrees.
    area
        In-plane area of the stacked cell, Å².
    width
        Its shorter in-plane height, Å.
    n_atoms
        Atoms of the stacked cell.
    is_turned
        Whether the top slab must be turned over, because the two supercells fit as
        mirror images only.
    """

    bottom: NDArray[np.int64]
    top: NDArray[np.int64]
    strain: float
    angle: float
    area: float
    width: float
    n_atoms: int
    is_turned: bool = False


def find_matches(slabs: tuple[Atoms, Atoms], system: InterfaceSystem) -> list[Match]:
    """Return all matches in reach of the limits, fewest atoms first, then least strain.

    The algorithm is that of Zur and McGill (J. Appl. Phys. 55 (1984) 378) as pymatgen
    has it. Of matches that differ in none of their numbers, the first is kept.
    """
    distinct: dict[tuple[float, ...], Match] = {}
    for m in _search(slabs, system):
        key = (m.n_atoms, round(m.strain, 5), round(m.width, 2), round(m.angle, 2))
        distinct.setdefault(key, m)
    return sorted(distinct.values(), key=lambda m: (m.n_atoms, m.strain))


def is_fitting(match: Match, system: InterfaceSystem) -> bool:
    """Return whether a match is within the limits of strain, atoms, area and width."""
    return (
        match.strain <= system.max_strain
        and system.min_atoms <= match.n_atoms <= system.max_atoms
        and match.width >= system.min_width
        and (system.max_area is None or match.area <= system.max_area)
    )


def explain_miss(system: InterfaceSystem, matches: list[Match]) -> str:
    """Return a message that nothing fits, and what came nearest."""
    names = f"{system.bottom.crystal}{list(system.bottom.miller)} and "
    names += f"{system.top.crystal}{list(system.top.miller)}"
    area = "" if system.max_area is None else f", area up to {system.max_area:g} Å²"
    limits = (
        f"strain up to {system.max_strain}, {system.min_atoms} to {system.max_atoms} "
        f"atoms, width from {system.min_width} Å{area}"
    )
    if not matches:
        return f"no cell matches {names} within {limits}; raise system.max_atoms"
    best = min(matches, key=lambda m: m.strain)
    return (
        f"no cell matches {names} within {limits}; nearest: {best.n_atoms} atoms with "
        f"strain {best.strain:.3f}, {best.area:.0f} Å², width {best.width:.1f} Å; "
        "change the limits, the planes or the layers"
    )


def _search(slabs: tuple[Atoms, Atoms], system: InterfaceSystem) -> Iterator[Match]:
    from pymatgen.analysis.interfaces.zsl import ZSLGenerator

    bottom, top = (slab.cell.array[:2] for slab in slabs)
    sizes = [len(slab) / cell_area(slab.cell.array[:2]) for slab in slabs]
    most = system.max_atoms / sum(sizes) * (1 + system.max_strain)
    search = ZSLGenerator(
        max_area_ratio_tol=2.5 * system.max_strain,
        max_area=most if system.max_area is None else min(most, system.max_area),
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
        lower, upper = on_bottom @ bottom[:, :2], on_top @ top[:, :2]
        area = cell_area(on_bottom @ bottom)
        yield Match(
            bottom=on_bottom,
            top=on_top,
            strain=largest_strain(upper, lower),
            angle=_angle(upper) - _angle(lower),
            area=area,
            width=area / float(np.linalg.norm(lower, axis=1).max()),
            n_atoms=n_atoms,
            is_turned=bool(np.linalg.det(on_bottom) * np.linalg.det(on_top) < 0),
        )


def _integers(vectors: object, lattice: Array) -> NDArray[np.int64]:
    ratio = np.asarray(vectors, float)[:, :2] @ np.linalg.inv(lattice[:, :2])
    return np.asarray(np.rint(ratio), np.int64)


def largest_strain(start: Array, end: Array) -> float:
    """Return the largest principal strain of the map between two 2D lattices."""
    stretches = np.linalg.svd(np.linalg.solve(start, end), compute_uv=False)
    return float(np.abs(stretches - 1.0).max())


def cell_area(vectors: Array) -> float:
    """Return the area that two vectors in space span."""
    return float(np.linalg.norm(np.cross(vectors[0], vectors[1])))


def _angle(vectors: Array) -> float:
    a, b = vectors
    cosine = float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
