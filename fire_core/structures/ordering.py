"""Order partial occupancies: the arrangement of ions with a low electrostatic energy.

The energy of point charges on all sites is Σ q_i M_ij q_j with the Ewald matrix of
pymatgen's `EwaldSummation`, computed once with unit charges; a swap then costs one row
of it. The search is simulated annealing over swaps of two sites, seeded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.data import atomic_numbers, covalent_radii
from ase.geometry import get_distances

from fire_core.errors import StructureError
from fire_core.structures.annealing import (
    EMPTY,
    Filling,
    anneal,
    count_violations,
    energy_of,
)
from fire_core.structures.composition import guess_oxidation, neutral_counts
from fire_core.structures.disorder import cut_primitive, repeat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fire_core.config.system import OrderConfig
    from fire_core.structures.composition import Counts
    from fire_core.structures.disorder import Disordered

    Array = NDArray[np.float64]

CONTACT: Final = 0.8
"""Part of the covalent contact below which two part-empty sites exclude each other:
2.05 Å for lithium, between the 1.6–1.9 Å of split sites in garnets and argyrodites and
the 2.3 Å of the next ones."""
ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Ordering:
    """An ordered crystal.

    Attributes
    ----------
    atoms
        The conventional cell, or its `repeat`, tiled from the cell that was ordered.
    energy
        Electrostatic energy of the point charges in the cell that was ordered, eV.
    n_ordered
        Atoms of the cell that was ordered.
    oxidation
        Charge of each element, e.
    notes
        What differs from the given occupancies, one sentence each.
    """

    atoms: Atoms
    energy: float
    n_ordered: int
    oxidation: Mapping[str, float]
    notes: tuple[str, ...]


def order_sites(disordered: Disordered, config: OrderConfig) -> Ordering:
    """Fill the sites of a crystal so that it is neutral and its energy low.

    Each orbit keeps its share of each element as nearly as whole, neutral numbers
    allow. Part-empty sites that are too near each other are never both filled; where
    the shares leave no room for that, or it gains more than 10 eV each, ions change to
    another orbit of their element, and a note says so.

    Parameters
    ----------
    disordered
        The crystal.
    config
        Cell, seed, charges, and the shortest distance of two part-empty sites.

    Raises
    ------
    StructureError
        No charges are known, no neutral filling is near the occupancies, or none keeps
        the ions apart.
    """
    cell = _cut(disordered, config)
    sites = np.bincount(cell.kinds, minlength=len(cell.orbits)).tolist()
    oxidation = guess_oxidation(_mean_counts(cell), config.oxidation)
    counts = neutral_counts(cell.orbits, sites, oxidation)
    filling = _search(cell, counts, oxidation, config)
    filled = [i for i, element in enumerate(filling.species) if element != EMPTY]
    ordered = Atoms(
        [filling.species[i] for i in filled],
        scaled_positions=cell.scaled[filled],
        cell=cell.lattice,
        pbc=True,
    )
    return Ordering(
        atoms=_tile(ordered, disordered.lattice * np.array(config.repeat)[:, None]),
        energy=energy_of(filling),
        n_ordered=len(ordered),
        oxidation=oxidation,
        notes=_notes(cell, sites, filling),
    )


def _cut(disordered: Disordered, config: OrderConfig) -> Disordered:
    if config.repeat != (1, 1, 1):
        return repeat(disordered, config.repeat)
    return cut_primitive(disordered) if config.cell == "primitive" else disordered


def _mean_counts(cell: Disordered) -> dict[str, float]:
    total: dict[str, float] = {}
    for kind in cell.kinds:
        for element, share in cell.orbits[kind].occupancies:
            total[element] = total.get(element, 0.0) + share
    return total


def _search(
    cell: Disordered, counts: Counts, oxidation: dict[str, float], config: OrderConfig
) -> Filling:
    """Return the best filling without excluded pairs that was found."""
    matrix = ewald_matrix(cell.lattice, cell.scaled)
    excluded = _exclusions(cell, config)
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([config.seed, attempt])
        filling = _fill(cell, counts, oxidation, matrix, excluded, rng)
        anneal(filling, _pools(cell), config.sweeps * 2**attempt, rng)
        if not count_violations(filling):
            return filling
    msg = (
        f"no filling of {_formula(filling)} keeps all ions apart: "
        f"{count_violations(filling)} pairs of part-empty sites are nearer than "
        "allowed in the best one; lower order.min_distance or correct the occupancies"
    )
    raise StructureError(msg)


def ewald_matrix(lattice: Array, scaled: Array) -> Array:
    """Return M, (n, n), eV/e², with E = Σ q_i M_ij q_j for a neutral cell.

    Parameters
    ----------
    lattice
        (3, 3), Å.
    scaled
        (n, 3), fractional coordinates.
    """
    from pymatgen.analysis.ewald import EwaldSummation
    from pymatgen.core import Lattice, Species, Structure

    ions = [Species("H", 1)] * len(scaled)  # any ion of unit charge
    structure = Structure(Lattice(lattice), ions, scaled)
    return np.asarray(EwaldSummation(structure).total_energy_matrix)


def _exclusions(cell: Disordered, config: OrderConfig) -> NDArray[np.bool_]:
    """Return (n, n): which pairs of part-empty sites are too near to be both filled."""
    n = len(cell.kinds)
    excluded = np.zeros((n, n), bool)
    part = [
        i
        for i, kind in enumerate(cell.kinds)
        if sum(share for _, share in cell.orbits[kind].occupancies) < 0.999
    ]
    if not part:
        return excluded
    positions = cell.scaled[part] @ cell.lattice
    _, distances = get_distances(positions, cell=cell.lattice, pbc=True)
    radii = np.array(
        [
            max(
                covalent_radii[atomic_numbers[element]]
                for element, _ in cell.orbits[cell.kinds[i]].occupancies
            )
            for i in part
        ]
    )
    limit = config.min_distance or CONTACT * (radii[:, None] + radii[None])
    near = distances < limit
    np.fill_diagonal(near, val=False)
    excluded[np.ix_(part, part)] = near
    return excluded


def _pools(cell: Disordered) -> list[NDArray[np.int64]]:
    """Return groups of sites whose contents may be exchanged: those of like orbits."""
    groups: dict[frozenset[str], list[int]] = {}
    for kind, orbit in enumerate(cell.orbits):
        if not orbit.is_whole:
            elements = frozenset(element for element, _ in orbit.occupancies)
            groups.setdefault(elements, []).append(kind)
    return [np.flatnonzero(np.isin(cell.kinds, kinds)) for kinds in groups.values()]


def _fill(
    cell: Disordered,
    counts: Counts,
    oxidation: Mapping[str, float],
    matrix: Array,
    excluded: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Filling:
    species = [EMPTY] * len(cell.kinds)
    for kind, orbit in enumerate(counts):
        places = rng.permutation(np.flatnonzero(cell.kinds == kind)).tolist()
        for element, number in orbit:
            for place in places[:number]:
                species[place] = element
            places = places[number:]
    charge = np.array([oxidation[s] if s else 0.0 for s in species])
    return Filling(matrix, excluded, cell.kinds, species, charge)


def _formula(filling: Filling) -> str:
    return str(Atoms([s for s in filling.species if s]).symbols)


def _tile(ordered: Atoms, lattice: Array) -> Atoms:
    """Return the ordered cell repeated to fill a larger lattice of its own."""
    matrix = np.rint(lattice @ np.linalg.inv(ordered.cell.array)).astype(int)
    if abs(np.linalg.det(matrix)) < 1.5:
        return ordered
    tiled = make_supercell(ordered, matrix)
    tiled.wrap()
    return tiled


def _notes(cell: Disordered, sites: Sequence[int], filling: Filling) -> tuple[str, ...]:
    notes = []
    for kind, orbit in enumerate(cell.orbits):
        if orbit.is_whole:
            continue
        here = [filling.species[i] for i in np.flatnonzero(cell.kinds == kind)]
        for element, share in orbit.occupancies:
            number = here.count(element)
            if not math.isclose(number, share * sites[kind], abs_tol=1e-3):
                notes.append(
                    f"{element} on {orbit.label}: {number} of {sites[kind]} sites "
                    f"({number / sites[kind]:.3f}), given {share:.3f}"
                )
    return tuple(notes)
