"""The theory level that an output of CP2K states."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from fire_core.importing.frames import theory_of

if TYPE_CHECKING:
    from fire_core.labelling.theory import Theory

NUMBER: Final = r"([-+]?\d+\.\d+(?:E[-+]?\d+)?)"
WORDS: Final = {
    "method": r"^ QS\| Method: +(\S+)",
    "basis_file": r"^ GLOBAL\| Basis set file name +(\S+)",
    "potential_file": r"^ GLOBAL\| Potential file name +(\S+)",
    "charge": r"^ DFT\| Charge +(\S+)",
    "self_interaction_correction": r"^ DFT\| Self-interaction correction \(SIC\) +(.+)",
    "smearing": r"Smear method: +(\S+)",
    "electronic_temperature_k": rf"Electronic temperature \[K\]: +{NUMBER}",
    "scf_threshold": r"eps_scf: +(\S+)",
    "k_scheme": r"^ BRILLOUIN\| K-point scheme +(.+)",
    "k_points": r"^ BRILLOUIN\| K-Point grid +(.+)",
    "exact_exchange": r"HFX_INFO\| FRACTION: +(\S+)",
}
CUTOFFS: Final = {
    "cutoff_ry": rf"^ QS\| Density cutoff \[a\.u\.\]: +{NUMBER}",
    "relative_cutoff_ry": rf"^ QS\| Relative density cutoff \[a\.u\.\]: +{NUMBER}",
}
KIND: Final = r"^ +\d+\. Atomic kind: +(\S+)"


def read_theory(text: str) -> Theory | None:
    """Return the theory level; None where PRINT_LEVEL was too low to show it."""
    version = re.search(r"version string: +CP2K version (\S+)", text)
    functional = re.findall(r"^ FUNCTIONAL\| (\S.*?): *$", text, re.M)
    basis = _by_element(text, r"Orbital Basis Set +(\S+)")
    settings: dict[str, object] = {"functional": sorted(set(functional))}
    for name, pattern in CUTOFFS.items():
        if found := re.search(pattern, text, re.M):
            settings[name] = 2.0 * float(found.group(1))
    if version is None or not functional or not basis or "cutoff_ry" not in settings:
        return None
    settings["basis"] = basis
    settings["potential"] = _by_element(text, r"Potential information for +(\S+)")
    for name, pattern in WORDS.items():
        if found := re.search(pattern, text, re.M):
            settings[name] = " ".join(found.group(1).split())
    settings["k_points"] = str(settings.get("k_points", "1 1 1")).replace(" ", "x")
    settings |= _spin(text)
    if dispersion := _lines(text, r"^ vdW POTENTIAL\|(.+)"):
        settings["dispersion"] = dispersion
    if hubbard := _lines(text, r"^ +(U\(eff\) .+)"):
        settings["hubbard"] = hubbard
    return theory_of("cp2k", version.group(1), settings)


def _by_element(text: str, pattern: str) -> dict[str, str]:
    """Return the first match in the description of each kind of atom."""
    found: dict[str, str] = {}
    parts = re.split(KIND, text, flags=re.M)
    for kind, part in zip(parts[1::2], parts[2::2], strict=True):
        if match := re.search(pattern, part):
            found[kind] = match.group(1)
    return found


def _spin(text: str) -> dict[str, object]:
    """Return spin settings; restricted singlets have none."""
    if not re.search(r"^ DFT\| Spin unrestricted", text, re.M):
        return {"spin_polarised": False}
    multiplicity = re.search(r"^ DFT\| Multiplicity +(\d+)", text, re.M)
    return {
        "spin_polarised": True,
        "multiplicity": int(multiplicity.group(1)) if multiplicity else 1,
    }


def _lines(text: str, pattern: str) -> list[str]:
    found = re.findall(pattern, text, re.M)
    return list(dict.fromkeys(" ".join(line.split()) for line in found))
