"""Find VASP's POTCARs, which each owner of a licence keeps in a folder of their own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fire_core.config.environment import PSEUDOPOTENTIALS, pseudopotential_folder
from fire_core.errors import LabellingError
from fire_core.records import FailureKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.config.dft import VaspTheory

MP_POTENTIALS: Final = {
    "Ac": "Ac", "Ag": "Ag", "Al": "Al", "Ar": "Ar", "As": "As", "Au": "Au", "B": "B",
    "Ba": "Ba_sv", "Be": "Be_sv", "Bi": "Bi", "Br": "Br", "C": "C", "Ca": "Ca_sv",
    "Cd": "Cd", "Ce": "Ce", "Cl": "Cl", "Co": "Co", "Cr": "Cr_pv", "Cs": "Cs_sv",
    "Cu": "Cu_pv", "Dy": "Dy_3", "Er": "Er_3", "Eu": "Eu", "F": "F", "Fe": "Fe_pv",
    "Ga": "Ga_d", "Gd": "Gd", "Ge": "Ge_d", "H": "H", "He": "He", "Hf": "Hf_pv",
    "Hg": "Hg", "Ho": "Ho_3", "I": "I", "In": "In_d", "Ir": "Ir", "K": "K_sv",
    "Kr": "Kr", "La": "La", "Li": "Li_sv", "Lu": "Lu_3", "Mg": "Mg_pv", "Mn": "Mn_pv",
    "Mo": "Mo_pv", "N": "N", "Na": "Na_pv", "Nb": "Nb_pv", "Nd": "Nd_3", "Ne": "Ne",
    "Ni": "Ni_pv", "Np": "Np", "O": "O", "Os": "Os_pv", "P": "P", "Pa": "Pa",
    "Pb": "Pb_d", "Pd": "Pd", "Pm": "Pm_3", "Pr": "Pr_3", "Pt": "Pt", "Pu": "Pu",
    "Rb": "Rb_sv", "Re": "Re_pv", "Rh": "Rh_pv", "Ru": "Ru_pv", "S": "S", "Sb": "Sb",
    "Sc": "Sc_sv", "Se": "Se", "Si": "Si", "Sm": "Sm_3", "Sn": "Sn_d", "Sr": "Sr_sv",
    "Ta": "Ta_pv", "Tb": "Tb_3", "Tc": "Tc_pv", "Te": "Te", "Th": "Th", "Ti": "Ti_pv",
    "Tl": "Tl_d", "Tm": "Tm_3", "U": "U", "V": "V_pv", "W": "W_pv", "Xe": "Xe",
    "Y": "Y_sv", "Yb": "Yb_2", "Zn": "Zn", "Zr": "Zr_sv",
}  # fmt: skip
"""Of pymatgen's MPRelaxSet, kept here so that no release of it changes a theory."""

SUFFIXES: Final = ("", ".gz", ".bz2", ".Z")


def potential_names(theory: VaspTheory) -> dict[str, str]:
    """Return the POTCAR of each element that a theory knows."""
    if isinstance(theory.potentials, dict):
        return theory.potentials
    return MP_POTENTIALS


def write_potcar(theory: VaspTheory, species: Sequence[str], path: Path) -> None:
    """Write the POTCARs of species one after the other.

    Raises
    ------
    LabellingError
        This machine lacks one, or has another one than the theory names.
    """
    names = potential_names(theory)
    text = ""
    for symbol in species:
        potcar = _read_potcar(theory.potential_family, names[symbol])
        expected = theory.potential_digests.get(symbol, "")
        found = hashlib.sha256(potcar.encode()).hexdigest()
        if not found.startswith(expected):
            msg = (
                f"the POTCAR of {names[symbol]} is another one than the theory names "
                f"(sha256 {found[:16]}, expected {expected})"
            )
            raise LabellingError(FailureKind.MISSING_POTENTIAL, msg)
        text += potcar
    path.write_text(text, encoding="utf-8")


def _read_potcar(family: str, name: str) -> str:
    """Return a POTCAR from the folder that pymatgen lays out, too."""
    from monty.io import zopen
    from pymatgen.core import SETTINGS
    from pymatgen.io.vasp.inputs import PotcarSingle

    root = pseudopotential_folder() or SETTINGS.get("PMG_VASP_PSP_DIR")
    folder = PotcarSingle.functional_dir[family]
    places = (f"{folder}/POTCAR.{name}", f"{folder}/{name}/POTCAR", f"{name}/POTCAR")
    if root is not None:
        for place in places:
            for suffix in SUFFIXES:
                path = Path(root) / f"{place}{suffix}"
                if path.is_file():
                    with zopen(path, "rt", encoding="utf-8") as file:
                        return str(file.read())
    msg = (
        f"the POTCAR {name} of {family} is not in {root or 'any folder'}: set "
        f"{PSEUDOPOTENTIALS} or PMG_VASP_PSP_DIR to the folder that holds {places[0]} "
        "(your licence of VASP lets you download it)"
    )
    raise LabellingError(FailureKind.MISSING_POTENTIAL, msg)
