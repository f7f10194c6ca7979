"""Which atoms of a frame are averaged together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from fire_core.errors import StructureError, UnknownElementError

if TYPE_CHECKING:
    from collections.abc import Collection

    from ase import Atoms
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """How atoms are put in groups; the same for all frames that are compared.

    Attributes
    ----------
    average
        `frame`, `species`, `species_region` or `atom`.
    species
        Atomic numbers that may occur, ascending.
    n_groups
        Groups of every frame; some may be empty.
    numbers
        (n_atoms,), what the atoms of every frame must be; None where they may differ.
    members
        (n_atoms,), group of each atom; None where it follows from its species.
    """

    average: str
    species: tuple[int, ...]
    n_groups: int
    numbers: NDArray[np.int64] | None = None
    members: NDArray[np.int64] | None = None

    def kinds(self, atoms: Atoms) -> NDArray[np.int64]:
        """Return the number of each atom's species, (n_atoms,).

        Raises
        ------
        UnknownElementError
            A species is not among those of the features.
        """
        known = np.array(self.species)
        found = np.searchsorted(known, atoms.numbers)
        kinds: NDArray[np.int64] = np.minimum(found, len(known) - 1).astype(np.int64)
        if not np.array_equal(known[kinds], atoms.numbers):
            unknown = sorted(set(atoms.numbers.tolist()) - set(self.species))
            msg = (
                f"expected elements {[chemical_symbols[z] for z in self.species]}, got "
                f"{[chemical_symbols[z] for z in unknown]} too; name them in `species`"
            )
            raise UnknownElementError(msg)
        return kinds

    def groups(self, atoms: Atoms, kinds: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the atoms of each group, `n_groups` arrays of positions.

        Raises
        ------
        StructureError
            The frame does not have the atoms that the groups were made for.
        """
        if self.average == "frame":
            return [np.arange(len(atoms))]
        if self.members is None or self.numbers is None:
            return [np.flatnonzero(kinds == k) for k in range(self.n_groups)]
        if not np.array_equal(atoms.numbers, self.numbers):
            msg = (
                f"expected every frame to have the {len(self.members)} atoms of the "
                f"first, or of the regions, in one order, got "
                f"{atoms.get_chemical_formula()} with {len(atoms)}; set "
                "select.soap.average to species"
            )
            raise StructureError(msg)
        return [np.flatnonzero(self.members == g) for g in range(self.n_groups)]


def group_atoms(
    average: str,
    species: Collection[int],
    like: Atoms,
    regions: ArrayLike | None = None,
) -> Grouping:
    """Return the groups of an average.

    Parameters
    ----------
    average
        What atoms are averaged over (`SoapConfig.average`).
    species
        Atomic numbers that may occur.
    like
        A frame; of `species_region` and `atom` all others have its atoms.
    regions
        (n_atoms,), integer region of each atom; needed for `species_region`.

    Raises
    ------
    StructureError
        When there is no region for each atom and `species_region` needs them.
    """
    known = tuple(sorted({int(z) for z in species}))
    numbers = like.numbers.astype(np.int64)
    if average == "frame":
        return Grouping(average, known, 1)
    if average == "species":
        return Grouping(average, known, len(known))
    if average == "atom":
        return Grouping(average, known, len(like), numbers, np.arange(len(like)))
    if regions is None:
        msg = (
            "average 'species_region' needs the region of each atom, got none; pass "
            "regions=atoms.arrays['region'], or set select.soap.average to species"
        )
        raise StructureError(msg)
    places = np.asarray(regions, np.int64).ravel()
    if len(places) != len(like):
        msg = (
            f"expected the region of each of {len(like)} atoms of "
            f"{like.get_chemical_formula()}, got {len(places)}; set "
            "select.soap.average to species"
        )
        raise StructureError(msg)
    where = list(zip(numbers.tolist(), places.tolist(), strict=True))
    index = {pair: k for k, pair in enumerate(sorted(set(where)))}
    members = np.array([index[pair] for pair in where])
    return Grouping(average, known, len(index), numbers, members)
