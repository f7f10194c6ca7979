"""The theory level of a VASP calculation, in one spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fire_core.importing.frames import theory_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fire_core.labelling.theory import Theory

ALWAYS: Final = (
    "PREC", "ENCUT", "EDIFF", "ISMEAR", "SIGMA", "ISPIN", "LREAL", "LASPH", "METAGGA",
    "GGA", "ADDGRID", "LHFCALC", "LNONCOLLINEAR", "LSORBIT", "LUSE_VDW", "IVDW", "LDAU",
)  # fmt: skip
"""Settings whose effective value is recorded, given or not."""

CHANGES_NO_LABEL: Final = frozenset({
    "SYSTEM", "NSW", "IBRION", "ISIF", "POTIM", "NFREE", "EDIFFG", "NBLOCK", "KBLOCK",
    "TEBEG", "TEEND", "SMASS", "MDALGO", "ANDERSEN_PROB", "LANGEVIN_GAMMA", "PMASS",
    "LANGEVIN_GAMMA_L", "RANDOM_SEED", "NWRITE", "LWAVE", "LCHARG", "LVTOT", "LVHAR",
    "LELF", "LAECHG", "LORBIT", "NEDOS", "EMIN", "EMAX", "NCORE", "NPAR", "KPAR",
    "NSIM", "LPLANE", "LSCALU", "LSCALAPACK", "ISTART", "ICHARG", "INIWAV", "NELM",
    "NELMIN", "NELMDL", "ALGO", "IALGO", "AMIX", "BMIX", "AMIX_MAG", "BMIX_MAG", "AMIN",
    "IMIX", "MAXMIX", "LMAXMIX", "TIME", "ISYM", "SYMPREC", "PSTRESS", "MAGMOM",
    "NBANDS", "NGX", "NGY", "NGZ", "LSUBROT", "APACO", "NPACO", "LMAXPAW", "IWAVPR",
    "LH5", "LASYNC", "LDIAG", "KSPACING", "KGAMMA", "ENMAX",
})  # fmt: skip
"""How far, how fast, what is written; and what is recorded otherwise. Whatever else an
INCAR sets is part of the theory level."""


def vasp_theory(
    version: str,
    titles: Sequence[str],
    effective: Mapping[str, object],
    given: Mapping[str, object],
    k_points: str,
) -> Theory | None:
    """Return the theory level; None where potentials or cutoff are unknown.

    Parameters
    ----------
    version
        VASP's release.
    titles
        Titles of the POTCAR, such as `PAW_PBE Li_sv 10Sep2004`.
    effective
        Settings that VASP used, defaults included.
    given
        Settings of the INCAR.
    k_points
        The mesh.
    """
    settings: dict[str, object] = {
        name: plain(effective[name]) for name in ALWAYS if name in effective
    }
    settings |= {
        name: plain(value)
        for name, value in given.items()
        if name not in CHANGES_NO_LABEL and name not in settings
    }
    if not titles or "ENCUT" not in settings:
        return None
    settings["potcar"] = {_element(title): " ".join(title.split()) for title in titles}
    settings["k_points"] = k_points
    return theory_of("vasp", version.split(maxsplit=1)[0], settings)


def plain(value: object) -> object:
    """Return a setting in one spelling: numbers, true or false, words in capitals."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    word = str(value).strip().strip(".").upper()
    if word in {"T", "TRUE", "F", "FALSE"}:
        return word.startswith("T")
    try:
        return float(word)
    except ValueError:
        return word


def _element(title: str) -> str:
    words = title.split()
    name = words[1] if len(words) > 1 else words[0]
    return name.partition("_")[0]
