"""The theory level that an output of pw.x states."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.importing.frames import theory_of
from fire_core.importing.mesh import describe_mesh

if TYPE_CHECKING:
    from fire_core.labelling.theory import Theory

NUMBER: Final = r"([-+]?\d+\.\d+(?:E[-+]\d+)?)"
WORDS: Final = {
    "functional": r"Exchange-correlation *= *(.+?)(?: *\(.*)?$",
    "smearing": r"number of k points= *\d+ +(.+?), +width",
    "width_ry": rf"width \(Ry\)= *{NUMBER}",
    "cutoff_ry": rf"kinetic-energy cutoff += +{NUMBER}",
    "density_cutoff_ry": rf"charge density cutoff += +{NUMBER}",
    "exact_exchange_cutoff_ry": rf"cutoff for Fock operator += +{NUMBER}",
    "scf_threshold_ry": rf"scf convergence threshold += +{NUMBER}",
}
REMARKS: Final = (
    r"DFT-D3 Dispersion|Grimme-D2|DFT-D Dispersion|MBD|XDM",
    r"Hubbard|LDA\+U|DFT\+U",
    r"Starting magnetic structure|Non.?collinear|spin-orbit",
    r"Truncation is active|Martyna|Makov|Electric field|dipole correction",
)
"""Lines that say of something that changes a label; kept as they are."""


def read_theory(text: str) -> Theory | None:
    """Return the theory level; None where functional or cutoff are not printed.

    Which damping D3 has is not in an output of pw.x; calculations with different ones
    look the same.
    """
    head = text.partition("Self-consistent Calculation")[0]
    version = re.search(r"Program PWSCF v\.(\S+)", head)
    settings: dict[str, object] = {}
    for name, pattern in WORDS.items():
        if found := re.search(pattern, head, re.M):
            word = found.group(1).strip()
            settings[name] = float(word) if re.fullmatch(NUMBER, word) else word
    if version is None or not {"functional", "cutoff_ry"} <= settings.keys():
        return None
    potentials = _pseudopotentials(head)
    settings["pseudopotentials"] = potentials
    settings["k_points"] = _k_points(head)
    if charge := _charge(head):
        settings["charge"] = charge
    if moments := _starting_magnetisation(head):
        settings["starting_magnetization"] = moments
    if remarks := _remarks(head):
        settings["remarks"] = remarks
    release = re.match(r"\d+(?:\.\d+)*", version.group(1))
    return theory_of("espresso", release.group(0) if release else "", settings)


def _pseudopotentials(head: str) -> dict[str, str]:
    """Return `FILE md5:SUM` by element; the file's name without its folder."""
    found = re.findall(
        r"PseudoPot\. # *\d+ for +(\S+) +read from file:?\s+(\S+)"
        r"\s+MD5 check sum: +(\S+)",
        head,
    )
    return {name: f"{PurePath(file).name} md5:{md5}" for name, file, md5 in found}


def _k_points(head: str) -> str:
    axes = re.findall(rf"a\(\d\) = \( +{NUMBER} +{NUMBER} +{NUMBER}", head)
    count = re.search(r"number of k points= *(\d+)", head)
    rows = re.findall(
        rf"k\( *\d+\) = \( *{NUMBER} *{NUMBER} *{NUMBER}\), wk",
        head.partition("cryst. coord.")[0],
    )
    if count is None or len(axes) != 3 or len(rows) != int(count.group(1)):
        return f"{count.group(1)} irreducible points" if count else "gamma"
    # Cartesian coordinates in 2π/alat times axes in alat
    cartesian = np.array(rows, np.float64)
    return describe_mesh(cartesian @ np.array(axes, np.float64).T)


def _charge(head: str) -> float:
    """Return the total charge: valence of the atoms less electrons, e."""
    electrons = re.search(rf"number of electrons +=? +{NUMBER}", head)
    valence = dict(
        re.findall(rf"^ +(\S+) +{NUMBER} +[\d.]+ +\S+\( *[\d.]+\)", head, re.M)
    )
    sites = re.findall(r"^ +\d+ +(\S+) +tau\(", head, re.M)
    if electrons is None or not sites or not set(sites) <= valence.keys():
        return 0.0
    charge = sum(float(valence[site]) for site in sites) - float(electrons.group(1))
    return round(charge, 4)


def _starting_magnetisation(head: str) -> dict[str, float]:
    _, _, table = head.partition("atomic species   magnetization")
    rows = re.findall(rf"^ +([A-Z]\S*) +{NUMBER}\s*$", table.split("\n\n")[0], re.M)
    return {name: float(moment) for name, moment in rows}


def _remarks(head: str) -> list[str]:
    found = {
        " ".join(line.split())
        for line in head.splitlines()
        if any(re.search(pattern, line) for pattern in REMARKS)
    }
    return sorted(found)
