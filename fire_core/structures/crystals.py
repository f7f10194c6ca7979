"""Build a crystal: one of the built-in ones, or a CIF, ordered where it must be."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ase.io import read
from ase.spacegroup import crystal

from fire_core.config.system import OrderConfig
from fire_core.errors import StructureError
from fire_core.structures.crystal_data import (
    CRYSTALS,
    FAMILIES,
    Crystal,
    find_crystal,
    known_crystals,
)
from fire_core.structures.disorder import (
    Disordered,
    cif_to_disordered,
    crystal_to_disordered,
)
from fire_core.structures.ordering import Ordering, order_sites

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.config.system import SlabConfig

__all__ = ["CRYSTALS", "FAMILIES", "Bulk", "Crystal", "build_bulk", "build_crystal"]


@dataclass(frozen=True, slots=True, eq=False)
class Bulk:
    """A crystal with whole atoms, and what became of its partial occupancies.

    Attributes
    ----------
    atoms
        The cell that was ordered, or the conventional cell.
    conventional
        (3, 3), Å, lattice that Miller indices refer to.
    source
        Where the structure comes from.
    ordering
        None when every site was full.
    """

    atoms: Atoms
    conventional: NDArray[np.float64]
    source: str
    ordering: Ordering | None = None


def build_crystal(name: str, x: float | None = None) -> Atoms:
    """Return the conventional cell of a built-in crystal or of a CIF.

    A crystal with partial occupancies is ordered (see `order_sites`) in its
    conventional cell, with seed 0.

    Parameters
    ----------
    name
        One of `known_crystals`, or the path of a CIF.
    x
        Composition of the crystals of `FAMILIES`.

    Raises
    ------
    StructureError
        The name is neither, or the CIF cannot be read or ordered.
    """
    return _build(name, x, OrderConfig(cell="conventional")).atoms


def build_bulk(slab: SlabConfig) -> Bulk:
    """Return the crystal that a slab is cut from; see `build_crystal`."""
    return _build(slab.crystal, slab.x, slab.order)


def _build(name: str, x: float | None, config: OrderConfig) -> Bulk:
    known = find_crystal(name, x)
    if known is not None:
        if known.is_ordered:
            return _whole(_expand(known), known.source)
        return _order(crystal_to_disordered(known), known.source, config)
    if not Path(name).is_file():
        if Path(name).suffix or "/" in name:
            msg = (
                f"expected a CIF file, but there is none at {name} (from {Path.cwd()})"
            )
            raise StructureError(msg)
        msg = (
            f"unknown crystal {name!r}: expected one of "
            f"{', '.join(known_crystals())}, or the path of a CIF file"
        )
        raise StructureError(msg)
    return _read_cif(name, config)


def _expand(known: Crystal) -> Atoms:
    return crystal(
        symbols=[site[0] for site in known.sites],
        basis=[site[1:] for site in known.sites],
        spacegroup=known.spacegroup,
        setting=known.setting,
        cellpar=list(known.cellpar),
        symprec=1e-3,
    )


def _read_cif(name: str, config: OrderConfig) -> Bulk:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about details of the file's style
            atoms = read(name, format="cif", fractional_occupancies=True)
    except Exception as error:  # ASE's reader raises whatever its parts raise
        reason = f"{error} is no element" if isinstance(error, KeyError) else error
        msg = f"{name} cannot be read as a CIF: {reason}"
        raise StructureError(msg) from error
    occupancies = atoms.info.get("occupancy", {})
    if any(sum(o.values()) < 0.999 or len(o) > 1 for o in occupancies.values()):
        return _order(cif_to_disordered(name), name, config)
    return _whole(atoms, name)


def _whole(atoms: Atoms, source: str) -> Bulk:
    return Bulk(_plain(atoms), atoms.cell.array.copy(), source)


def _order(disordered: Disordered, source: str, config: OrderConfig) -> Bulk:
    ordering = order_sites(disordered, config)
    return Bulk(ordering.atoms, disordered.lattice, source, ordering)


def _plain(atoms: Atoms) -> Atoms:
    """Return a copy with nothing but species, positions, cell and periodicity."""
    bare = atoms[:]
    bare.info = {}
    for name in set(bare.arrays) - {"numbers", "positions"}:
        del bare.arrays[name]
    return bare
