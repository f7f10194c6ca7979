"""Published numbers to compare with, each with its source; and readers of tables.

Conductivities are those that OBELiX (arXiv:2502.14234) lists with each paper's DOI; the
table itself is not bundled, `read_obelix` reads a user's copy. Elastic moduli of
binaries are PBE, Voigt-Reuss-Hill, of the Materials Project (M. de Jong et al., Sci.
Data 2, 150009 (2015)).
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fire_core.errors import PropertyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ROOM: Final = 298.15
"""K; papers say room temperature."""
SAME_COMPOSITION: Final = 0.01
"""Largest difference of an atomic fraction between the same composition."""
OBELIX_COLUMNS: Final = ("Composition", "Ionic conductivity (S cm-1)", "DOI")


@dataclass(frozen=True, slots=True)
class Reference:
    """A published number.

    Attributes
    ----------
    formula
        Of the material; compared as a composition.
    material
        What the sample was, in words.
    name, value, unit, error, conditions
        As in `PropertyValue`.
    is_measured
        Whether by experiment; else computed.
    source
        DOI, or arXiv number.
    note
        What a reader has to know about it.
    """

    formula: str
    material: str
    name: str
    value: float
    unit: str
    source: str
    error: float | None = None
    conditions: Mapping[str, float | str] = field(default_factory=dict)
    is_measured: bool = True
    note: str = ""


def _conductivity(formula: str, material: str, value: float, doi: str) -> Reference:
    return Reference(
        formula,
        material,
        "conductivity",
        value,
        "S/cm",
        doi,
        conditions={"temperature_k": ROOM},
    )


def _moduli(formula: str, *values: float) -> tuple[Reference, ...]:
    """Return bulk, shear and Young's modulus, GPa, and Poisson's ratio, PBE."""
    names = ("bulk_modulus", "shear_modulus", "youngs_modulus", "poisson_ratio")
    return tuple(
        Reference(
            formula,
            f"{formula}, PBE",
            name,
            value,
            "" if name == "poisson_ratio" else "GPa",
            "10.1038/sdata.2015.9",
            conditions={} if name == "bulk_modulus" else {"average": "hill"},
            is_measured=False,
            note="Materials Project, at 0 K",
        )
        for name, value in zip(names, values, strict=True)
    )


def _diffusion_in_lif(value: float, model: str) -> Reference:
    return Reference(
        "LiF",
        f"LiF with an interstitial Li, {model}",
        "activation_energy",
        value,
        "eV",
        "arXiv:2510.05020",
        is_measured=False,
        note="molecular dynamics",
    )


ARGYRODITE, GARNET = "Li6PS5Cl", "Li7La3Zr2O12"
REFERENCES: Final = (
    _conductivity(ARGYRODITE, "Li6PS5Cl", 2.05e-3, "10.1021/jacs.7b06327"),
    _conductivity(ARGYRODITE, "Li6PS5Cl", 1.3e-3, "10.1016/j.ssi.2012.06.008"),
    _conductivity(ARGYRODITE, "Li6PS5Cl", 3.3e-5, "10.1002/pssa.201001117"),
    _conductivity("Li3PS4", "γ-Li3PS4", 2.6e-7, "10.1021/ja3110895"),
    _conductivity("Li3PS4", "β-Li3PS4", 8.93e-7, "10.1021/ja3110895"),
    _conductivity("Li3PS4", "β-Li3PS4, nanoporous", 1.6e-4, "10.1021/ja3110895"),
    _conductivity(GARNET, "LLZO, cubic", 5.11e-4, "10.1002/anie.200701144"),
    _conductivity(GARNET, "LLZO, tetragonal", 1.63e-6, "10.1016/j.jssc.2009.05.020"),
    _conductivity(
        "Li6.75La3Zr1.75Ta0.25O12", "LLZTO, x = 0.25", 6.3e-4, "10.1149/2.024205esl"
    ),
    _conductivity(
        "Li6.4La3Zr1.4Ta0.6O12", "LLZTO, x = 0.6", 1.0e-3, "10.1039/c2jm31413d"
    ),
    _diffusion_in_lif(0.22, "MACE-MPA-0"),
    _diffusion_in_lif(0.20, "MACE-MPA-0 fine-tuned"),
    _diffusion_in_lif(0.24, "DeePMD"),
    *_moduli("LiF", 69.6, 50.0, 121.1, 0.210),
    *_moduli("LiCl", 32.2, 20.8, 51.3, 0.234),
    *_moduli("Li2S", 40.5, 33.9, 79.5, 0.173),
    *_moduli("Li2O", 78.6, 68.5, 159.2, 0.163),
    Reference(
        "Li6.4La3Zr1.4Ta0.6O12",
        "LLZTO, x = 0.6, 98 % dense",
        "youngs_modulus",
        158.47,
        "GPa",
        "S. Hu et al., Chin. Phys. Lett.; par.nsf.gov/biblio/10352322",
        error=10.10,
        conditions={"temperature_k": ROOM, "average": "hill"},
        note="nanoindentation; polycrystal",
    ),
    Reference(
        "Li6.24La3Zr2Al0.24O11.98",
        "Al-LLZO, 97 % dense",
        "youngs_modulus",
        149.8,
        "GPa",
        "J. E. Ni et al., J. Mater. Sci. 47, 7978 (2012)",
        error=0.4,
        conditions={"temperature_k": ROOM, "average": "hill"},
        note="resonant ultrasound; polycrystal with 3 % pores",
    ),
)
"""Numbers without a source at hand are not here."""


def find_references(
    formula: str, more: tuple[Reference, ...] = ()
) -> tuple[Reference, ...]:
    """Return what is known of a composition, and of others that were read."""
    wanted = atomic_fractions(formula)
    return tuple(
        reference
        for reference in (*REFERENCES, *more)
        if _distance(wanted, atomic_fractions(reference.formula)) < SAME_COMPOSITION
    )


def atomic_fractions(formula: str) -> dict[str, float]:
    """Return the share of each element in a formula, fractions and brackets allowed.

    Raises
    ------
    PropertyError
        It is no chemical formula.
    """
    counts = _count(formula)
    total = sum(counts.values())
    if not total:
        msg = f"expected a chemical formula such as Li6PS5Cl, got {formula!r}"
        raise PropertyError(msg)
    return {element: n / total for element, n in counts.items()}


def read_obelix(path: Path) -> tuple[Reference, ...]:
    """Read measured conductivities from a copy of OBELiX's table (CSV).

    Raises
    ------
    PropertyError
        The file is missing, or has other columns.
    """
    if not path.is_file():
        msg = f"no table of conductivities at {path}; pass the path of OBELiX's CSV"
        raise PropertyError(msg)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        table = csv.DictReader(stream)
        header = table.fieldnames or []
        if missing := [c for c in OBELIX_COLUMNS if c not in header]:
            msg = (
                f"{path} has no column {', '.join(missing)}; expected OBELiX's table, "
                f"got {', '.join(header)}"
            )
            raise PropertyError(msg)
        rows = list(table)
    found = []
    for row in rows:
        composition, number, doi = (row[column] for column in OBELIX_COLUMNS)
        try:
            value = float(number)
        except ValueError:  # some rows say below 1E-10
            continue
        words = f"{composition} (OBELiX {row.get('ID', '')})".replace(" )", ")")
        found.append(_conductivity(composition, words, value, doi.replace("|", ", ")))
    return tuple(found)


def _count(formula: str) -> dict[str, float]:
    """Count atoms; unknown text gives an empty count."""
    counts: defaultdict[str, float] = defaultdict(float)
    text = formula.replace(" ", "")
    for group in re.finditer(r"\(([^()]*)\)(\d*\.?\d*)", text):
        factor = float(group[2] or 1)
        for element, n in _count(group[1]).items():
            counts[element] += n * factor
    flat = re.sub(r"\([^()]*\)\d*\.?\d*", "", text)
    if re.fullmatch(r"(?:[A-Z][a-z]?\d*\.?\d*)*", flat) is None:
        return {}
    for element, number in re.findall(r"([A-Z][a-z]?)(\d*\.?\d*)", flat):
        counts[element] += float(number or 1)
    return counts


def _distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Return the largest difference of an atomic fraction."""
    elements = {*one, *other}
    return max(abs(one.get(e, 0.0) - other.get(e, 0.0)) for e in elements)
