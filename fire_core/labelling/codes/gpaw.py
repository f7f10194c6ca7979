"""GPAW: projector-augmented waves, run by a Python of its own.

Mortensen et al., J. Chem. Phys. 160 (2024) 092503. Input for release 22.8.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.units import kB

from fire_core.config.dft import GpawTheory
from fire_core.errors import LabellingError
from fire_core.labelling.dft import ProgramLabeller
from fire_core.labelling.kpoints import monkhorst_pack
from fire_core.labelling.program import Program, ScfSettings
from fire_core.labelling.triage import tail_of
from fire_core.records import FailureKind, Label

if TYPE_CHECKING:
    from ase import Atoms

SCRIPT: Final = Path(__file__).with_name("gpaw_script.py")
CAUSES: Final = (
    (FailureKind.MISSING_POTENTIAL, r"Could not find required PAW dataset"),
    (FailureKind.NOT_CONVERGED, r"KohnShamConvergenceError: "),
    (FailureKind.OUT_OF_MEMORY, r"MemoryError|bad_alloc|cannot allocate memory"),
)
SETUPS: Final = {
    "Ag": "33ddeab4", "Al": "0292cae2", "Ar": "f23b4e21", "As": "bf96491e",
    "Au": "b12133f3", "B": "6e914392", "Ba": "3c0c69fc", "Be": "05824862",
    "Bi": "9be46376", "Br": "39dc90fc", "C": "4aa54d4b", "Ca": "0641b8f6",
    "Cd": "b24f2afa", "Cl": "726897f0", "Co": "339d20d5", "Cr": "33f258bd",
    "Cs": "fa822afd", "Cu": "f1c4d45d", "F": "9cd46ba2", "Fe": "37abbd8d",
    "Ga": "818a1f82", "Ge": "9ec617d8", "H": "d65de229", "He": "a4ce1389",
    "Hf": "41d1758b", "Hg": "0b51cb89", "I": "91405a39", "In": "4115a368",
    "Ir": "fcdd1dd1", "K": "04190408", "Kr": "e6347005", "Li": "830b4218",
    "Mg": "b56b6cab", "Mn": "00ec47dc", "Mo": "296a29d4", "N": "f7500608",
    "Na": "d7ecbc49", "Nb": "2c58cec6", "Ne": "c80c9760", "Ni": "0d9f38a9",
    "O": "32ecd46b", "Os": "ae23660e", "P": "03b4a34d", "Pb": "66e73b13",
    "Pd": "c3f348c1", "Pt": "5ed69580", "Rb": "f3ee551b", "Re": "e7ff4866",
    "Rh": "4e1d209a", "Rn": "37267b1d", "Ru": "670232e5", "S": "ca434db9",
    "Sb": "a29d01ff", "Sc": "9182747e", "Se": "2336a077", "Si": "ee77bee4",
    "Sn": "d1329c6b", "Sr": "1681cef0", "Ta": "11af46c5", "Te": "e44b9ef4",
    "Ti": "d282db07", "Tl": "5a3688cb", "V": "a8354638", "W": "3ed563b7",
    "Xe": "15b8917d", "Y": "5960f59b", "Zn": "9da902d1", "Zr": "f4b60a1b",
}  # fmt: skip
"""First digits of the md5 by which GPAW names a dataset: PBE, release 0.9.20000."""


def write(theory: GpawTheory, atoms: Atoms, folder: Path, effort: ScfSettings) -> None:
    """Write label.json and the script that reads it."""
    (folder / "result.json").unlink(missing_ok=True)
    moments = [theory.initial_moments.get(symbol, 0.0) for symbol in atoms.symbols]
    job = {
        "atoms": {
            "numbers": atoms.numbers.tolist(),
            "positions": atoms.positions.tolist(),
            "cell": atoms.cell.array.tolist(),
            "pbc": atoms.pbc.tolist(),
        },
        "moments": moments if theory.spin_polarised else [],
        "settings": _settings(theory, atoms),
        "effort": _effort(effort, spin_polarised=theory.spin_polarised),
        "restart": effort.restart,
    }
    (folder / "label.json").write_text(json.dumps(job), encoding="utf-8")
    shutil.copyfile(SCRIPT, folder / "label.py")


def _settings(theory: GpawTheory, atoms: Atoms) -> dict[str, Any]:
    return {
        "mode": {"name": "pw", "ecut": theory.cutoff},
        "xc": theory.functional,
        "kpts": {"size": monkhorst_pack(atoms, theory.k_spacing)},
        "spinpol": theory.spin_polarised,
        "occupations": {
            "name": "fermi-dirac",
            "width": theory.electronic_temperature * kB,
            "fixmagmom": theory.fixed_moment(atoms.symbols) is not None,
        },
        # A snapshot has no symmetry, and a mesh must not break that of a crystal.
        "symmetry": {"point_group": False},
        "convergence": {"density": theory.scf_tolerance},
    }


def _effort(effort: ScfSettings, *, spin_polarised: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {"maxiter": effort.iterations}
    if effort.careful:
        # GPAW's advice for an SCF that does not converge (its page on convergence)
        settings["mixer"] = {
            "method": "sum" if spin_polarised else "separate",
            "beta": 0.02,
            "nmaxold": 5,
            "weight": 100,
        }
    return settings


def read(theory: GpawTheory, _atoms: Atoms, folder: Path, output: str) -> Label:
    """Return the label of result.json, if it says that the SCF converged."""
    path = folder / "result.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not found.get("converged"):
        reason = "GPAW does not say that the SCF converged"
        raise LabellingError(FailureKind.NOT_CONVERGED, reason, tail_of(output))
    for symbol, digest in found["setups"].items():
        if not digest.startswith(SETUPS[symbol]):
            reason = (
                f"the PAW dataset of {symbol} is not that of release {theory.setups} "
                f"(md5 {digest[:8]}, expected {SETUPS[symbol]}): set GPAW_SETUP_PATH"
            )
            raise LabellingError(FailureKind.MISSING_POTENTIAL, reason)
    return Label(
        float(found["energy"]),
        np.array(found["forces"], dtype=np.float64),
        np.array(found["stress"], dtype=np.float64),
    )


def elements(_theory: GpawTheory) -> frozenset[str]:
    """Return the elements that have a PAW dataset."""
    return frozenset(SETUPS)


PROGRAM: Final = Program(
    name="GPAW",
    variable="FIRE_GPAW",
    # Debian's own Python, whatever environment FIRE runs in
    command="/usr/bin/python3",
    arguments=("label.py",),
    probe=("-c", "import gpaw; print('GPAW', gpaw.__version__)"),
    release=r"^GPAW (\S+)",
    install="install it (Debian: apt install gpaw gpaw-data)",
    write=write,
    read=read,
    causes=CAUSES,
    state=("label.gpw",),
    same_cell=True,
    elements=elements,
)
LABELLER: Final = ProgramLabeller(GpawTheory, PROGRAM)
