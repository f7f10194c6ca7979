"""Crystals whose sites are shared or part empty: as data, and cut to a cell."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.spacegroup import crystal

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fire_core.structures.crystal_data import Crystal, Species

FULL: Final = 0.999
"""Occupancies above this are one: CIFs round thirds."""


@dataclass(frozen=True, slots=True)
class Orbit:
    """Sites that are alike: one Wyckoff position, or like occupancies of a CIF.

    Attributes
    ----------
    label
        Name for people, such as Li1.
    occupancies
        (element, share of its sites) pairs; what they lack to one is empty.
    """

    label: str
    occupancies: tuple[tuple[str, float], ...]

    @property
    def is_whole(self) -> bool:
        """Whether each site holds one and the same element."""
        return len(self.occupancies) == 1 and self.occupancies[0][1] > FULL


@dataclass(frozen=True, slots=True, eq=False)
class Disordered:
    """A crystal with partial occupancies.

    Attributes
    ----------
    lattice
        (3, 3), Å, the conventional cell.
    scaled
        (n_sites, 3), fractional coordinates of every site of it.
    kinds
        (n_sites,), index into `orbits`.
    orbits
        The orbits.
    """

    lattice: NDArray[np.float64]
    scaled: NDArray[np.float64]
    kinds: NDArray[np.int64]
    orbits: tuple[Orbit, ...]


def crystal_to_disordered(known: Crystal) -> Disordered:
    """Return every site of a crystal's conventional cell."""
    cells = [
        crystal(
            symbols=["X"],
            basis=[site[1:]],
            spacegroup=known.spacegroup,
            setting=known.setting,
            cellpar=list(known.cellpar),
            symprec=1e-3,
        )
        for site in known.sites
    ]
    kinds = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
    scaled = np.concatenate([cell.get_scaled_positions() for cell in cells])
    orbits = _name(_occupancies(site[0]) for site in known.sites)
    return Disordered(cells[0].cell.array.copy(), scaled, kinds, orbits)


def cif_to_disordered(path: str) -> Disordered:
    """Return every site of a CIF, expanded by its symmetry (pymatgen's reader).

    Raises
    ------
    StructureError
        pymatgen cannot read it.
    """
    from pymatgen.io.cif import CifParser

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about rounding; checked by occupancies
            parser = CifParser(path, occupancy_tolerance=1.05)
            structure = parser.parse_structures(primitive=False)[0]
    except Exception as error:  # pymatgen raises whatever its parts raise
        msg = f"{path} cannot be read as a crystal with partial occupancies: {error}"
        raise StructureError(msg) from error
    names: dict[tuple[tuple[str, float], ...], int] = {}
    kinds = []
    for site in structure:
        shares: dict[str, float] = {}
        for species, share in site.species.items():
            element = species.symbol
            shares[element] = round(shares.get(element, 0.0) + float(share), 4)
        # a file without symmetry names each site: like shares make one orbit
        kinds.append(names.setdefault(tuple(sorted(shares.items())), len(names)))
    return Disordered(
        np.array(structure.lattice.matrix),
        np.array(structure.frac_coords) % 1.0,
        np.array(kinds),
        _name(names),
    )


def cut_primitive(disordered: Disordered) -> Disordered:
    """Return the smallest cell that repeats all sites and their occupancies."""
    import spglib

    cell: Any = (disordered.lattice, disordered.scaled, disordered.kinds + 1)
    found = spglib.standardize_cell(
        cell, to_primitive=True, no_idealize=True, symprec=1e-3
    )
    if found is None:
        return disordered
    lattice, scaled, kinds = (np.asarray(part) for part in found)
    return Disordered(lattice, scaled % 1.0, kinds - 1, disordered.orbits)


def repeat(disordered: Disordered, repeats: tuple[int, int, int]) -> Disordered:
    """Return a supercell."""
    shifts = np.array(list(itertools.product(*(range(n) for n in repeats))))
    scaled = (disordered.scaled[None] + shifts[:, None]) / np.array(repeats)
    return Disordered(
        disordered.lattice * np.array(repeats)[:, None],
        scaled.reshape(-1, 3),
        np.tile(disordered.kinds, len(shifts)),
        disordered.orbits,
    )


def _occupancies(species: Species) -> tuple[tuple[str, float], ...]:
    return ((species, 1.0),) if isinstance(species, str) else species


def _name(
    occupancies: Iterable[tuple[tuple[str, float], ...]],
) -> tuple[Orbit, ...]:
    """Name each orbit by its leading element and a number: Li1, Li2, La1."""
    counts: dict[str, int] = {}
    orbits = []
    for shares in occupancies:
        element = max(shares, key=lambda pair: pair[1])[0]
        counts[element] = counts.get(element, 0) + 1
        orbits.append(Orbit(f"{element}{counts[element]}", shares))
    return tuple(orbits)
