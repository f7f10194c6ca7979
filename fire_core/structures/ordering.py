"""Order partial occupancies: the arrangement of ions with a low electrostatic energy.

The energy of point charges on all sites is Σ q_i M_ij q_j with the Ewald matrix of
pymatgen's `EwaldSummation`, computed once with unit charges; a swap then costs one row
of it. The search is simulated
annealing (Kirkpatrick et al., Science 220 (1983) 671) over swaps of two sites, seeded.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.data import atomic_numbers, covalent_radii
from ase.geometry import get_distances

from fire_core.errors import StructureError
from fire_core.structures.composition import (
    guess_oxidation,
    neutral_counts,
)
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
HOT: Final = 3.0
COLD: Final = 0.02
"""First and last temperature of the search, eV."""
FORBIDDEN: Final = 30.0
"""What a pair of sites that exclude each other costs, eV; a filled pair at 0.8 Å has
18 eV of repulsion of its own."""
SPLIT: Final = 5.0
"""What an ion too many or too few in an orbit costs, eV: ions change to another orbit
of their element only where they would be too near each other otherwise."""
ATTEMPTS: Final = 4
EMPTY: Final = ""


@dataclass(frozen=True, slots=True, eq=False)
class Ordering:
    """An ordered crystal.

    Attributes
    ----------
    atoms
        The conventional cell, or its `repeat`, tiled from the cell that was ordered.
    energy
        Electrostatic energy of the point charges, eV for each formula cell ordered.
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


@dataclass(slots=True, eq=False)
class _Filling:
    """Sites and what sits on them, while the search moves it about."""

    matrix: Array
    excluded: NDArray[np.bool_]
    kinds: NDArray[np.int64]
    species: list[str]
    charge: Array


def order_sites(disordered: Disordered, config: OrderConfig) -> Ordering:
    """Fill the sites of a crystal so that it is neutral and its energy low.

    Each orbit keeps its share of each element as nearly as whole, neutral numbers
    allow. Part-empty sites that are too near each other are never both filled; where
    the shares leave no room for that, ions change to another orbit of their element,
    and a note says so.

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
        energy=_energy(filling),
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
) -> _Filling:
    """Return the best filling without excluded pairs that was found."""
    matrix = ewald_matrix(cell.lattice, cell.scaled)
    excluded = _exclusions(cell, config)
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([config.seed, attempt])
        filling = _fill(cell, counts, oxidation, matrix, excluded, rng)
        _anneal(filling, _pools(cell), config.sweeps * 2**attempt, rng)
        if not _violations(filling):
            return filling
    msg = (
        f"no filling of {_formula(filling)} keeps all ions apart: "
        f"{_violations(filling)} pairs of part-empty sites are nearer than allowed in "
        "the best one; lower order.min_distance or correct the occupancies"
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
) -> _Filling:
    species = [EMPTY] * len(cell.kinds)
    for kind, orbit in enumerate(counts):
        places = rng.permutation(np.flatnonzero(cell.kinds == kind)).tolist()
        for element, number in orbit:
            for place in places[:number]:
                species[place] = element
            places = places[number:]
    charge = np.array([oxidation[s] if s else 0.0 for s in species])
    return _Filling(matrix, excluded, cell.kinds, species, charge)


def _anneal(
    filling: _Filling,
    pools: Sequence[NDArray[np.int64]],
    sweeps: int,
    rng: np.random.Generator,
) -> None:
    """Swap contents of sites, cooling geometrically, and leave the best arrangement."""
    movable = np.concatenate(pools) if pools else np.empty(0, np.int64)
    steps = sweeps * len(movable)
    if not steps:
        return
    pool_of = {int(site): pool.tolist() for pool in pools for site in pool}
    first = rng.choice(movable, steps).tolist()
    second = rng.random(steps).tolist()
    patience = -np.log(rng.random(steps)) * np.geomspace(HOT, COLD, steps)
    moves = _Moves(filling)
    best, kept = moves.cost, list(filling.species)
    for i, chance, limit in zip(first, second, patience.tolist(), strict=True):
        pool = pool_of[i]
        j = pool[int(chance * len(pool))]
        if filling.species[i] == filling.species[j]:
            continue
        rise = moves.rise(i, j)
        if rise > limit:
            continue
        moves.make(i, j, rise)
        if moves.cost < best - 1e-9:
            best, kept = moves.cost, list(filling.species)
    charges = dict(zip(filling.species, filling.charge.tolist(), strict=True))
    filling.species = kept
    filling.charge = np.array([charges[s] for s in kept])


class _Moves:
    """What a swap of two sites costs, from fields that are kept up to date.

    The cost is the electrostatic energy, plus FORBIDDEN for each excluded pair, plus
    SPLIT for each ion by which an orbit's content differs from its start.
    """

    def __init__(self, filling: _Filling) -> None:
        self.filling = filling
        self.occupied = np.array([float(s != EMPTY) for s in filling.species])
        self.penalty = FORBIDDEN / 2 * filling.excluded
        self.field = filling.matrix @ filling.charge
        self.crowd = self.penalty @ self.occupied
        self.cost = float(filling.charge @ self.field + self.occupied @ self.crowd)
        self.kinds: list[int] = filling.kinds.tolist()
        self.excess = dict.fromkeys(
            itertools.product(set(self.kinds), set(filling.species)), 0
        )

    def rise(self, i: int, j: int) -> float:
        """Return the change of the cost when i and j exchange their contents."""
        m, charge = self.filling.matrix, self.filling.charge
        dq = charge[j] - charge[i]
        do = self.occupied[j] - self.occupied[i]
        rise = 2 * dq * (self.field[i] - self.field[j])
        rise += dq * dq * (m[i, i] + m[j, j] - 2 * m[i, j])
        rise += 2 * do * (self.crowd[i] - self.crowd[j])
        rise -= 2 * do * do * self.penalty[i, j]
        if self.kinds[i] != self.kinds[j]:
            rise += sum(
                SPLIT * (abs(self.excess[key] + change) - abs(self.excess[key]))
                for key, change in self._changes(i, j)
            )
        return float(rise)

    def make(self, i: int, j: int, rise: float) -> None:
        """Exchange the contents of i and j."""
        species, charge = self.filling.species, self.filling.charge
        dq = charge[j] - charge[i]
        do = self.occupied[j] - self.occupied[i]
        for key, change in self._changes(i, j):
            self.excess[key] += change
        species[i], species[j] = species[j], species[i]
        charge[i], charge[j] = charge[j], charge[i]
        self.occupied[i] += do
        self.occupied[j] -= do
        self.field += dq * (self.filling.matrix[i] - self.filling.matrix[j])
        self.crowd += do * (self.penalty[i] - self.penalty[j])
        self.cost += rise

    def _changes(self, i: int, j: int) -> list[tuple[tuple[int, str], int]]:
        a, b = self.kinds[i], self.kinds[j]
        if a == b:
            return []
        here, there = self.filling.species[i], self.filling.species[j]
        changes = [((a, here), -1), ((b, here), 1), ((b, there), -1), ((a, there), 1)]
        return [change for change in changes if change[0][1] != EMPTY]


def _energy(filling: _Filling) -> float:
    return float(filling.charge @ filling.matrix @ filling.charge)


def _violations(filling: _Filling) -> int:
    occupied = np.array([s != EMPTY for s in filling.species])
    return int(filling.excluded[np.ix_(occupied, occupied)].sum()) // 2


def _formula(filling: _Filling) -> str:
    return str(Atoms([s for s in filling.species if s]).symbols)


def _tile(ordered: Atoms, lattice: Array) -> Atoms:
    """Return the ordered cell repeated to fill a larger lattice of its own."""
    matrix = np.rint(lattice @ np.linalg.inv(ordered.cell.array)).astype(int)
    if abs(np.linalg.det(matrix)) < 1.5:
        return ordered
    tiled = make_supercell(ordered, matrix)
    tiled.wrap()
    return tiled


def _notes(
    cell: Disordered, sites: Sequence[int], filling: _Filling
) -> tuple[str, ...]:
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
