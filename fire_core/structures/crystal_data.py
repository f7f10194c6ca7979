"""The built-in crystals: space groups, cells, positions and where they come from.

Lattice constants are those of PBE where a PBE crystal is at hand, for models and labels
of that functional, and measured ones elsewhere; `source` says which. Positions that
other tables round or blur were checked against bond lengths (tests/structures).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Species = str | tuple[tuple[str, float], ...]
"""An element, or (element, occupancy) pairs of a site that is shared or part empty."""
Site = tuple[Species, float, float, float]
CellPar = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Crystal:
    """A crystal in its conventional setting.

    Attributes
    ----------
    spacegroup
        Number in the International Tables.
    cellpar
        a, b, c in Å and α, β, γ in degrees.
    sites
        One (species, x, y, z) for each occupied orbit, fractional coordinates.
    source
        Where the numbers come from.
    setting
        ASE's setting of the space group (1 or 2).
    """

    spacegroup: int
    cellpar: CellPar
    sites: tuple[Site, ...]
    source: str
    setting: int = 1

    @property
    def is_ordered(self) -> bool:
        """Whether every site is full and of one element."""
        return all(isinstance(site[0], str) for site in self.sites)


@dataclass(frozen=True, slots=True)
class Family:
    """Crystals whose composition or order depends on one number, x.

    Attributes
    ----------
    make
        Returns the crystal at an x.
    meaning
        What x is.
    default, largest
        Its value when not given, and its upper end; the lower is 0.
    """

    make: Callable[[float], Crystal]
    meaning: str
    default: float
    largest: float


def _cubic(a: float) -> CellPar:
    return (a, a, a, 90.0, 90.0, 90.0)


def _orthogonal(a: float, b: float, c: float) -> CellPar:
    return (a, b, c, 90.0, 90.0, 90.0)


MP: Final = "PBE, Materials Project"

CRYSTALS: Final[Mapping[str, Crystal]] = MappingProxyType(
    {
        "Li": Crystal(229, _cubic(3.44), (("Li", 0, 0, 0),), f"bcc; {MP} mp-135"),
        "Na": Crystal(229, _cubic(4.19), (("Na", 0, 0, 0),), f"bcc; {MP} mp-127"),
        "LiCl": Crystal(
            225,
            _cubic(5.1527),
            (("Li", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)),
            f"rock salt; {MP} mp-22905",
        ),
        "LiF": Crystal(
            225,
            _cubic(4.0834),
            (("Li", 0, 0, 0), ("F", 0.5, 0.5, 0.5)),
            f"rock salt; {MP} mp-1138",
        ),
        "Li2O": Crystal(
            225,
            _cubic(4.66),
            (("O", 0, 0, 0), ("Li", 0.25, 0.25, 0.25)),
            f"antifluorite; {MP} mp-1960",
        ),
        "Li2S": Crystal(
            225,
            _cubic(5.72),
            (("S", 0, 0, 0), ("Li", 0.25, 0.25, 0.25)),
            f"antifluorite; {MP} mp-1153",
        ),
        "GaF3": Crystal(
            167,
            (5.0897, 5.0897, 13.2330, 90.0, 90.0, 120.0),
            (("Ga", 0, 0, 0), ("F", 0.6077, 0, 0.25)),
            f"VF3 type, R-3c, hexagonal axes; {MP} mp-588",
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
            "zabuyelite, C2/c, measured; Effenberger & Zemann, Z. Kristallogr. 150 "
            "(1979) 133",
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
            "tetragonal, P-42_1c, relaxed in PBE; measured by Wang et al., Angew. "
            "Chem. Int. Ed. 55 (2016) 8551, doi:10.1002/anie.201601546",
        ),
        "Li3PS4": Crystal(
            62,
            _orthogonal(13.0328, 8.0186, 6.1718),
            (
                ("Li", 0.33255, 0.03350, 0.38940),
                ("Li", 0, 0, 0.5),
                ("P", 0.08947, 0.25, 0.15239),
                ("S", 0.10019, 0.25, 0.82468),
                ("S", 0.94067, 0.25, 0.27242),
                ("S", 0.15386, 0.03652, 0.27096),
            ),
            f"β, Pnma, the split lithium site ordered onto 4b; {MP} mp-985583; "
            "measured by Homma et al., Solid State Ionics 182 (2011) 53, "
            "doi:10.1016/j.ssi.2010.10.001",
        ),
        "gamma-Li3PS4": Crystal(
            31,
            _orthogonal(7.70829, 6.53521, 6.13650),
            (
                ("Li", 0.2566, 0.6744, 0.4947),
                ("Li", 0, 0.1486, 0.4856),
                ("P", 0, 0.8231, 0.9956),
                ("S", 0.2242, 0.6819, 0.8887),
                ("S", 0, 0.1204, 0.8824),
                ("S", 0, 0.8125, 0.3304),
            ),
            "γ, Pmn2_1, measured cell of Homma et al., Solid State Ionics 182 (2011) "
            "53, doi:10.1016/j.ssi.2010.10.001; positions relaxed in it with CHGNet "
            "0.4.2",
        ),
        "Li3B11O18": Crystal(
            14,
            (17.9976, 7.9523, 9.7719, 90.0, 100.6855, 90.0),
            (
                ("Li", 0.95810, 0.81685, 0.99270),
                ("Li", 0.75356, 0.57766, 0.77800),
                ("Li", 0.57947, 0.94049, 0.63553),
                ("B", 0.99318, 0.36916, 0.74922),
                ("B", 0.90385, 0.41946, 0.90246),
                ("B", 0.80706, 0.61455, 0.50872),
                ("B", 0.71298, 0.39858, 0.49086),
                ("B", 0.62466, 0.34473, 0.65431),
                ("B", 0.51394, 0.28982, 0.75042),
                ("B", 0.30794, 0.05832, 0.46509),
                ("B", 0.18407, 0.93416, 0.42779),
                ("B", 0.91352, 0.62504, 0.71859),
                ("B", 0.41422, 0.05832, 0.68615),
                ("B", 0.24284, 0.99142, 0.22220),
                ("O", 0.95697, 0.76401, 0.79662),
                ("O", 0.96598, 0.50315, 0.66794),
                ("O", 0.87068, 0.54214, 0.81371),
                ("O", 0.96994, 0.33965, 0.87767),
                ("O", 0.86733, 0.69346, 0.59113),
                ("O", 0.75681, 0.52117, 0.57313),
                ("O", 0.66222, 0.30376, 0.54795),
                ("O", 0.63946, 0.48913, 0.72988),
                ("O", 0.75611, 0.51235, 0.98040),
                ("O", 0.56607, 0.23486, 0.67041),
                ("O", 0.52543, 0.43647, 0.82524),
                ("O", 0.44759, 0.21143, 0.75651),
                ("O", 0.37561, 0.10057, 0.54427),
                ("O", 0.30453, 0.06831, 0.32435),
                ("O", 0.27782, 0.86854, 0.14085),
                ("O", 0.20358, 0.12689, 0.13183),
                ("O", 0.18710, 0.90812, 0.29284),
                ("O", 0.12220, 0.87384, 0.47994),
            ),
            f"P2_1/c; {MP} mp-1020014 (CC BY 4.0), doi:10.17188/1350886",
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
            "tetragonal Li7La3Zr2O12, I4_1/acd, measured; Awaka et al., J. Solid State "
            "Chem. 182 (2009) 2046, doi:10.1016/j.jssc.2009.05.020",
        ),
    }
)

GARNET_SOURCE: Final = (
    "cubic garnet, Ia-3d; positions of Awaka et al., Chem. Lett. 40 (2011) 60, "
    "doi:10.1246/cl.2011.60; cell and lithium split by x between Li7La3Zr2O12 (Xie et "
    "al., Chem. Mater. 23 (2011) 3587, doi:10.1021/cm201671k) and the Li5 garnets "
    "(Cussen & Yip, J. Solid State Chem. 180 (2007) 1832)"
)


def garnet(metal: str, x: float) -> Crystal:
    """Return cubic Li(7-x)La3Zr(2-x)M(x)O12 with its partial occupancies.

    The cell goes by Vegard's law from 12.975 Å to 12.799 Å at x = 2; Ta and Nb have
    the same radius (0.64 Å, Shannon 1976). Lithium on the tetrahedral 24d site goes
    from 13 of 24 (0.542) at x = 0 to 19 of 24 (0.79) at x = 2, linear in between; the
    rest of the 8 (7 - x) lithium ions of the cell is on 96h. Sites of 24d and 96h at
    1.63 Å and of 96h at 0.77 Å from each other are never both occupied.
    """
    tetrahedral = (13.0 + 3.0 * x) / 24.0
    octahedral = (8.0 * (7.0 - x) - 24.0 * tetrahedral) / 96.0
    shared: Species = "Zr" if x == 0 else (("Zr", 1 - x / 2), (metal, x / 2))
    return Crystal(
        230,
        _cubic(12.975 - 0.088 * x),
        (
            ((("Li", tetrahedral),), 0.375, 0, 0.25),
            ((("Li", octahedral),), 0.0971, 0.6853, 0.5782),
            ("La", 0.125, 0, 0.25),
            (shared, 0, 0, 0),
            ("O", -0.0317, 0.0542, 0.1497),
        ),
        GARNET_SOURCE,
    )


def argyrodite(x: float) -> Crystal:
    """Return Li6PS5Cl with the share x of its free S and Cl on each other's site.

    With x = 0 lithium sits in the middle of each doublet, 24g; with disorder it may
    take either side, 48h, each half occupied.
    """
    mixed = x > 0
    lithium: tuple[Site, ...] = (("Li", 0.75, 0.25, 0.02),)
    if mixed:
        lithium = (((("Li", 0.5),), 0.183, 0.817, 0.024),)
    chloride: Species = (("Cl", 1 - x), ("S", x)) if mixed else "Cl"
    sulphide: Species = (("S", 1 - x), ("Cl", x)) if mixed else "S"
    return Crystal(
        216,
        _cubic(9.85),
        (
            *lithium,
            ("P", 0, 0, 0.5),
            ("S", 0.1202, 0.3798, 0.1202),
            (sulphide, 0.25, 0.25, 0.75),
            (chloride, 0, 0, 0),
        ),
        "argyrodite, F-43m, measured; Kraft et al., J. Am. Chem. Soc. 139 (2017) "
        "10909, doi:10.1021/jacs.7b06327; Deiseroth et al., Angew. Chem. Int. Ed. 47 "
        "(2008) 755, doi:10.1002/anie.200703900",
    )


FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "Li6PS5Cl": Family(
            argyrodite, "share of S on 4a and of Cl on 4d, anti-site disorder", 0.0, 1.0
        ),
        "LLZTO": Family(
            lambda x: garnet("Ta", x), "Ta in Li(7-x)La3Zr(2-x)Ta(x)O12", 0.5, 2.0
        ),
        "LLZNO": Family(
            lambda x: garnet("Nb", x), "Nb in Li(7-x)La3Zr(2-x)Nb(x)O12", 0.5, 2.0
        ),
    }
)


def known_crystals() -> tuple[str, ...]:
    """Return the names of everything built in."""
    return (*CRYSTALS, *FAMILIES)


def find_crystal(name: str, x: float | None = None) -> Crystal | None:
    """Return a built-in crystal, or None when the name is none of them.

    Raises
    ------
    StructureError
        An x is given to a crystal that has none, or is out of its range.
    """
    family = FAMILIES.get(name)
    if family is None:
        if x is not None:
            msg = (
                f"{name} has no x, got x = {x}; crystals with one are "
                f"{', '.join(FAMILIES)}"
            )
            raise StructureError(msg)
        return CRYSTALS.get(name)
    value = family.default if x is None else x
    if not 0 <= value <= family.largest:
        msg = (
            f"x of {name} ({family.meaning}) must be from 0 to {family.largest:g}, "
            f"got {value:g}"
        )
        raise StructureError(msg)
    return family.make(value)
