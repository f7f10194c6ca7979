"""Crystals of the battery interfaces, from published space groups and positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ase.io import read
from ase.spacegroup import crystal

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

Site = tuple[str, float, float, float]


@dataclass(frozen=True, slots=True)
class Crystal:
    """An ordered crystal in its conventional setting.

    Attributes
    ----------
    spacegroup
        Number in the International Tables.
    cellpar
        a, b, c in Å and α, β, γ in degrees.
    sites
        One (element, x, y, z) for each occupied orbit, fractional coordinates.
    source
        Where the numbers come from.
    setting
        ASE's setting of the space group (1 or 2).
    """

    spacegroup: int
    cellpar: tuple[float, float, float, float, float, float]
    sites: tuple[Site, ...]
    source: str
    setting: int = 1


def _cubic(a: float) -> tuple[float, float, float, float, float, float]:
    return (a, a, a, 90.0, 90.0, 90.0)


CRYSTALS: Final[Mapping[str, Crystal]] = {
    "Li": Crystal(229, _cubic(3.44), (("Li", 0, 0, 0),), "PBE, Materials Project"),
    "Na": Crystal(229, _cubic(4.19), (("Na", 0, 0, 0),), "PBE, Materials Project"),
    "LiCl": Crystal(
        225,
        _cubic(5.1527),
        (("Li", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)),
        "rock salt; PBE lattice constant, Materials Project",
    ),
    "LiF": Crystal(
        225,
        _cubic(4.0834),
        (("Li", 0, 0, 0), ("F", 0.5, 0.5, 0.5)),
        "rock salt; PBE lattice constant, Materials Project",
    ),
    "Li2O": Crystal(
        225,
        _cubic(4.66),
        (("O", 0, 0, 0), ("Li", 0.25, 0.25, 0.25)),
        "antifluorite; PBE lattice constant, Materials Project",
    ),
    "Li2S": Crystal(
        225,
        _cubic(5.72),
        (("S", 0, 0, 0), ("Li", 0.25, 0.25, 0.25)),
        "antifluorite; PBE lattice constant, Materials Project",
    ),
    "GaF3": Crystal(
        167,
        (5.0897, 5.0897, 13.2330, 90.0, 90.0, 120.0),
        (("Ga", 0, 0, 0), ("F", 0.6077, 0, 0.25)),
        "VF3 type, R-3c, hexagonal axes; PBE, Materials Project",
    ),
    "Li2CO3": Crystal(
        15,
        (8.359, 4.9725, 6.1975, 90.0, 114.72, 90.0),
        (
            ("Li", 0.1965, 0.4488, 0.8345),
            ("C", 0, 0.0657, 0.25),
            ("O", 0, 0.3217, 0.25),
            ("O", 0.1459, 0.9339, 0.3127),
        ),
        "C2/c; Effenberger & Zemann, Z. Kristallogr. 150 (1979) 133",
    ),
    "Na3SbS4": Crystal(
        114,
        (7.2042, 7.2042, 7.3325, 90.0, 90.0, 90.0),
        (
            ("Na", 0, 0, 0.5),
            ("Na", 0, 0.5, 0.4257),
            ("Sb", 0, 0, 0),
            ("S", 0.2081, 0.8267, 0.8163),
        ),
        "P-42_1c, relaxed in PBE from Zhang et al., J. Mater. Chem. A (2018)",
    ),
    "Li3PS4": Crystal(
        62,
        (12.819, 8.2195, 6.1236, 90.0, 90.0, 90.0),
        (
            ("Li", 0.1517, 0.5136, 0.9357),
            ("Li", 0, 0, 0.5),
            ("P", 0.0944, 0.25, 0.1616),
            ("S", 0.1509, 0.0544, 0.2813),
            ("S", 0.0741, 0.75, 0.7367),
            ("S", 0.1042, 0.25, 0.8383),
        ),
        "β-Li3PS4, Pnma, with the split lithium site ordered onto 4a; after Homma "
        "et al., Solid State Ionics 182 (2011) 53",
    ),
    "Li6PS5Cl": Crystal(
        216,
        _cubic(9.85),
        (
            ("Li", 0.75, 0.25, 0.02),
            ("P", 0, 0, 0.5),
            ("S", 0.1202, 0.3798, 0.1202),
            ("S", 0.25, 0.25, 0.75),
            ("Cl", 0, 0, 0),
        ),
        "argyrodite, F-43m, anions ordered and lithium on the mid-cage 24g site; "
        "after Kraft et al., J. Am. Chem. Soc. 139 (2017) 10909",
    ),
    "LLZO": Crystal(
        142,
        (13.1279, 13.1279, 12.6715, 90.0, 90.0, 90.0),
        (
            ("Li", 0.0806, 0.1643, 0.4291),
            ("Li", 0.1797, 0.3203, 0.5),
            ("Li", 0, 0, 0),
            ("La", 0.127, 0.25, 0.875),
            ("La", 0, 0, 0.25),
            ("Zr", 0, 0.25, 0.125),
            ("O", 0.0338, 0.1952, 0.2774),
            ("O", 0.0541, 0.1029, 0.5912),
            ("O", 0.1496, 0.2224, 0.0714),
        ),
        "tetragonal Li7La3Zr2O12, I4_1/acd; Awaka et al., J. Solid State Chem. 182 "
        "(2009) 2046",
    ),
}


def build_crystal(name: str) -> Atoms:
    """Return the conventional cell of a built-in crystal or of a CIF.

    Parameters
    ----------
    name
        A key of `CRYSTALS`, or the path of a CIF with full occupancies.

    Raises
    ------
    StructureError
        The name is neither, or the CIF has partial occupancies.
    """
    known = CRYSTALS.get(name)
    if known is not None:
        atoms = crystal(
            symbols=[site[0] for site in known.sites],
            basis=[site[1:] for site in known.sites],
            spacegroup=known.spacegroup,
            setting=known.setting,
            cellpar=list(known.cellpar),
            symprec=1e-3,
        )
        return _plain(atoms)
    if not Path(name).is_file():
        msg = (
            f"unknown crystal {name!r}: expected one of {', '.join(CRYSTALS)}, "
            "or the path of a CIF file"
        )
        raise StructureError(msg)
    atoms = read(name, format="cif", fractional_occupancies=True)
    occupancies = atoms.info.get("occupancy", {})
    if any(sum(o.values()) < 0.999 or len(o) > 1 for o in occupancies.values()):
        msg = (
            f"{name} has partially occupied sites; order it first, for example with "
            "pymatgen's OrderDisorderedStructureTransformation, and pass that CIF"
        )
        raise StructureError(msg)
    return _plain(atoms)


def _plain(atoms: Atoms) -> Atoms:
    """Return a copy with nothing but species, positions, cell and periodicity."""
    bare = atoms[:]
    bare.info = {}
    for name in set(bare.arrays) - {"numbers", "positions"}:
        del bare.arrays[name]
    return bare
