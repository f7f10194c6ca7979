"""CP2K: Gaussian and plane waves (Kühne et al., J. Chem. Phys. 152 (2020) 194103).

Input for and output of release 2023.1.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.units import Bohr, GPa, Hartree

from fire_core.config.dft import Cp2kTheory
from fire_core.errors import LabellingError
from fire_core.labelling.codes.gth import FILE, VALENCE
from fire_core.labelling.dft import ProgramLabeller
from fire_core.labelling.kpoints import monkhorst_pack
from fire_core.labelling.program import Program, ScfSettings
from fire_core.labelling.triage import OUT_OF_MEMORY, tail_of
from fire_core.records import FailureKind, Label

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

Tree = dict[str, Any]

CAUSES: Final = (
    (FailureKind.MISSING_POTENTIAL, r"The requested [\s\S]{0,160}not found"),
    (FailureKind.NOT_CONVERGED, r"SCF run NOT converged"),
    (FailureKind.BAD_GEOMETRY, r"atoms? (?:too close|on top)|overlapping atoms"),
    OUT_OF_MEMORY,
)
D3_CUTOFF: Final = 16.0  # Å
LANTHANIDES: Final = frozenset({"La"})  # their basis set is in another file
NUMBER: Final = r"([-+]?\d+\.\d+(?:[EeDd][-+]?\d+)?)"


def write(theory: Cp2kTheory, atoms: Atoms, folder: Path, effort: ScfSettings) -> None:
    """Write label.inp."""
    tree: Tree = {
        "GLOBAL": {"PROJECT": "label", "RUN_TYPE": "ENERGY_FORCE"},
        "FORCE_EVAL": {
            "METHOD": "QUICKSTEP",
            "STRESS_TENSOR": "ANALYTICAL",
            "DFT": _dft(theory, atoms, effort),
            "PRINT": {"FORCES ON": {"NDIGITS": 12}, "STRESS_TENSOR ON": {}},
            "SUBSYS": _subsys(theory, atoms),
        },
    }
    (folder / "label.inp").write_text("\n".join(_lines(tree)) + "\n", "utf-8")


def _dft(theory: Cp2kTheory, atoms: Atoms, effort: ScfSettings) -> Tree:
    mesh = monkhorst_pack(atoms, theory.k_spacing)
    basis, potential = _files(theory, atoms)
    tree: Tree = {
        "BASIS_SET_FILE_NAME": basis,
        "POTENTIAL_FILE_NAME": potential,
        "UKS": theory.spin_polarised,
        "MGRID": {
            "CUTOFF": theory.cutoff,
            "REL_CUTOFF": theory.relative_cutoff,
            "NGRIDS": 5,
        },
        "QS": {"EPS_DEFAULT": 1e-12},
        "SCF": _scf(theory, atoms, effort, is_gamma=mesh == (1, 1, 1)),
        "XC": _functional(theory),
    }
    moment = theory.fixed_moment(atoms.symbols)
    if moment is not None:
        tree["MULTIPLICITY"] = round(moment) + 1
    if effort.restart:
        name = "label-RESTART.wfn" if mesh == (1, 1, 1) else "label-RESTART.kp"
        tree["WFN_RESTART_FILE_NAME"] = name
    if mesh != (1, 1, 1):
        tree["KPOINTS"] = {"SCHEME": "MONKHORST-PACK {} {} {}".format(*mesh)}
    return tree


def _files(theory: Cp2kTheory, atoms: Atoms) -> tuple[list[str], str]:
    """Return the data files of basis sets and of pseudopotentials."""
    if "SCAN" in theory.potential:
        return ["BASIS_MOLOPT_UZH"], "POTENTIAL_UZH"
    basis = ["BASIS_MOLOPT"]
    if set(atoms.symbols) & LANTHANIDES:
        basis.append("BASIS_MOLOPT_UCL")
    return basis, FILE


def _scf(
    theory: Cp2kTheory, atoms: Atoms, effort: ScfSettings, *, is_gamma: bool
) -> Tree:
    """Return the SCF section: diagonalisation, or OT for fixed occupations at Γ."""
    tree: Tree = {
        "SCF_GUESS": "RESTART" if effort.restart else "ATOMIC",
        "EPS_SCF": theory.scf_tolerance,
        "MAX_SCF": effort.iterations,
        "PRINT": {"RESTART": {"BACKUP_COPIES": 0}, "RESTART_HISTORY OFF": {}},
    }
    if theory.electronic_temperature == 0 and is_gamma:
        tree["OT"] = {
            "MINIMIZER": "CG" if effort.careful else "DIIS",
            "PRECONDITIONER": "FULL_SINGLE_INVERSE",
        }
        return tree
    tree["DIAGONALIZATION"] = {"ALGORITHM": "STANDARD"}
    tree["MIXING"] = {
        "METHOD": "BROYDEN_MIXING",
        "ALPHA": 0.1 if effort.careful else 0.4,
        "NBROYDEN": 16 if effort.careful else 8,
    }
    if theory.electronic_temperature > 0:
        tree["ADDED_MOS"] = _empty_bands(atoms)
        tree["SMEAR ON"] = {
            "METHOD": "FERMI_DIRAC",
            "ELECTRONIC_TEMPERATURE": f"[K] {theory.electronic_temperature}",
        }
    return tree


def _empty_bands(atoms: Atoms) -> int:
    """Return the bands above half filling: a fifth more, at least 10."""
    electrons = sum(VALENCE[symbol] for symbol in atoms.symbols)
    return max(10, math.ceil(0.2 * electrons / 2))


def _functional(theory: Cp2kTheory) -> Tree:
    if theory.functional == "PBE":
        tree: Tree = {"XC_FUNCTIONAL PBE": {}}
    else:
        tree = {"XC_FUNCTIONAL": {"MGGA_X_R2SCAN": {}, "MGGA_C_R2SCAN": {}}}
    if theory.dispersion != "none":
        tree["VDW_POTENTIAL"] = {
            "POTENTIAL_TYPE": "PAIR_POTENTIAL",
            "PAIR_POTENTIAL": {
                "TYPE": "DFTD3(BJ)" if theory.dispersion == "D3(BJ)" else "DFTD3",
                "PARAMETER_FILE_NAME": "dftd3.dat",
                "REFERENCE_FUNCTIONAL": theory.functional.upper(),
                "R_CUTOFF": D3_CUTOFF,
            },
        }
    return tree


def _subsys(theory: Cp2kTheory, atoms: Atoms) -> Tree:
    rows = zip(atoms.symbols, atoms.positions, strict=True)
    tree: Tree = {
        "CELL": {
            name: " ".join(f"{x:.14f}" for x in vector)
            for name, vector in zip("ABC", atoms.cell.array, strict=True)
        },
        "COORD": {"": [f"{s} " + " ".join(f"{x:.14f}" for x in r) for s, r in rows]},
    }
    for symbol in sorted(set(atoms.symbols)):
        kind: Tree = {
            "BASIS_SET": _named(theory.basis, symbol),
            "POTENTIAL": _named(theory.potential, symbol),
        }
        if theory.spin_polarised and symbol in theory.initial_moments:
            kind["MAGNETIZATION"] = theory.initial_moments[symbol]
        tree[f"KIND {symbol}"] = kind
    return tree


def _named(family: str, symbol: str) -> str:
    """Return a name of CP2K's files; the newer families name the valence, too."""
    return f"{family}-q{VALENCE[symbol]}" if "SCAN" in family else family


def _lines(tree: Tree, indent: str = "") -> list[str]:
    """Return sections (dictionaries), keywords, and lines as they are (key "")."""
    lines: list[str] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            lines += [
                f"{indent}&{key}",
                *_lines(value, indent + "  "),
                f"{indent}&END {key.split()[0]}",
            ]
        elif isinstance(value, list):
            lines += [f"{indent}{key} {item}" for item in value]
        else:
            lines.append(f"{indent}{key} {value}")
    return lines


def read(_theory: Cp2kTheory, atoms: Atoms, _folder: Path, output: str) -> Label:
    """Return the label that the output holds, if it says that the SCF converged."""
    if not re.search(r"\*\*\* SCF run converged in", output):
        reason = "CP2K's output does not say that the SCF converged"
        raise LabellingError(FailureKind.NOT_CONVERGED, reason, tail_of(output))
    energy = re.search(rf"ENERGY\| Total FORCE_EVAL .*?{NUMBER}\s*$", output, re.M)
    forces = re.findall(
        rf"^ +\d+ +\d+ +[A-Z][a-z]? +{NUMBER} +{NUMBER} +{NUMBER} *$", output, re.M
    )
    stress = re.findall(
        rf"^ STRESS\| +[xyz] +{NUMBER} +{NUMBER} +{NUMBER} *$", output, re.M
    )[:3]
    if energy is None or len(forces) != len(atoms) or len(stress) != len("xyz"):
        got = int(energy is not None), len(forces), len(stress)
        reason = (
            f"expected an energy, {len(atoms)} forces and a stress in CP2K's output, "
            "got {}, {} and {} rows of them".format(*got)
        )
        raise LabellingError(FailureKind.CRASHED, reason, tail_of(output))
    tensor = -np.array(stress, dtype=np.float64) * GPa  # CP2K: positive when squeezed
    return Label(
        float(energy.group(1)) * Hartree,
        np.array(forces, dtype=np.float64) * (Hartree / Bohr),
        tensor[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)],
    )


def elements(theory: Cp2kTheory) -> frozenset[str]:
    """Return the elements that have both basis set and pseudopotential."""
    known = frozenset(VALENCE)
    return known - LANTHANIDES if "SCAN" in theory.potential else known


PROGRAM: Final = Program(
    name="CP2K",
    variable="FIRE_CP2K",
    command="cp2k.psmp",
    arguments=("-i", "label.inp"),
    probe=("--version",),
    release=r"CP2K version (\S+)",
    install="install it (Debian: apt install cp2k)",
    write=write,
    read=read,
    causes=CAUSES,
    state=("label-RESTART.wfn", "label-RESTART.kp"),
    elements=elements,
)
LABELLER: Final = ProgramLabeller(Cp2kTheory, PROGRAM)
