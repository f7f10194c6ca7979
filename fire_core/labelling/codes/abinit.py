"""ABINIT: input by ASE, output of release 9.6.2.

Gonze et al., Computer Physics Communications 248 (2020) 107042.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import atomic_numbers
from ase.units import Bohr, Hartree, kB

from fire_core.config.dft import AbinitTheory
from fire_core.errors import LabellingError
from fire_core.labelling.codes.gth import PBE
from fire_core.labelling.codes.pseudopotentials import (
    place_potentials,
    potential_elements,
)
from fire_core.labelling.dft import ProgramLabeller
from fire_core.labelling.kpoints import monkhorst_pack
from fire_core.labelling.program import Program, ScfSettings
from fire_core.labelling.triage import OUT_OF_MEMORY, tail_of
from fire_core.records import FailureKind, Label

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

CAUSES: Final = (
    (FailureKind.MISSING_POTENTIAL, r"Cannot open file '[^']*pseudopotentials/"),
    (FailureKind.NOT_CONVERGED, r"was not enough scf cycles to converge"),
    OUT_OF_MEMORY,
)
BECKE_JOHNSON: Final = 7
DISPERSION_TOLERANCE: Final = 1e-10  # Ha; pairs that give less are left out
NUMBER: Final = r"([-+]?\d+\.\d+(?:E[-+]?\d+)?)"
OUTPUT: Final = "label.abo"
STRESS_LENGTH: Final = 200  # characters of three lines; a copy in GPa comes later


def write(
    theory: AbinitTheory, atoms: Atoms, folder: Path, effort: ScfSettings
) -> None:
    """Write label.abi and the pseudopotentials."""
    from ase.io.abinit import write_abinit_in

    (folder / OUTPUT).unlink(missing_ok=True)  # ABINIT would rename it and go on
    place = folder / "pseudopotentials"
    names = place_potentials(theory.pseudopotentials, atoms, place)
    species = sorted(names, key=atomic_numbers.__getitem__)
    atoms = atoms.copy()
    if theory.spin_polarised:
        moments = [theory.initial_moments.get(symbol, 0.0) for symbol in atoms.symbols]
        atoms.set_initial_magnetic_moments(moments)
    with (folder / "label.abi").open("w", encoding="utf-8") as file:
        write_abinit_in(
            file,
            atoms,
            param=_variables(theory, atoms, effort),
            species=[atomic_numbers[symbol] for symbol in species],
            pseudos=[f"{place.name}/{names[symbol]}" for symbol in species],
        )


def _variables(
    theory: AbinitTheory, atoms: Atoms, effort: ScfSettings
) -> dict[str, Any]:
    variables: dict[str, Any] = {
        "outdata_prefix": '"label_o"',
        "prtden": 0,
        "prteig": 0,
        "prtgsr": 0,
        "prtebands": 0,
        "ecut": theory.cutoff * Hartree,  # ASE writes eV
        "ixc": PBE,
        "kpts": monkhorst_pack(atoms, theory.k_spacing),
        # A snapshot has no symmetry, and a mesh must not break that of a crystal.
        "nsym": 1,
        "tolvrs": theory.scf_tolerance,
        "nstep": effort.iterations,
        "optforces": 1,
        "optstress": 1,
        "occopt": 1,
    }
    if theory.electronic_temperature > 0:
        smearing = theory.electronic_temperature * kB
        variables |= {"occopt": 3, "tsmear": smearing}
    moment = theory.fixed_moment(atoms.symbols)
    if moment is not None:
        variables["spinmagntarget"] = moment
    if theory.dispersion != "none":
        variables |= {
            "vdw_xc": BECKE_JOHNSON,
            "vdw_tol": DISPERSION_TOLERANCE,
        }
    if effort.careful:
        # Shorter steps that remember more of the past
        variables |= {"diemix": 0.3, "npulayit": 15}
    if effort.restart:
        variables["getwfk_filepath"] = '"label_o_WFK"'
    return variables


def read(_theory: AbinitTheory, atoms: Atoms, folder: Path, output: str) -> Label:
    """Return the label that the output holds, if it says that the SCF converged."""
    text = (folder / OUTPUT).read_text(encoding="utf-8", errors="replace")
    if not re.search(r"At SCF step +\d+ .*=> ?converged", text):
        reason = "ABINIT does not say that the SCF converged"
        raise LabellingError(FailureKind.NOT_CONVERGED, reason, tail_of(output))
    energy = re.search(rf"^total_energy +: +{NUMBER}", text, re.M)
    _, _, after = text.partition("cartesian forces (hartree/bohr) at end:")
    rows = re.findall(rf"^ +\d+ +{NUMBER} +{NUMBER} +{NUMBER} *$", after, re.M)
    forces = rows[: len(atoms)]
    _, _, after = text.partition("stress tensor (hartree/bohr^3)")
    stress = dict(re.findall(rf"sigma\((\d \d)\)= +{NUMBER}", after[:STRESS_LENGTH]))
    if energy is None or len(forces) != len(atoms) or len(stress) != len("xyzabc"):
        got = int(energy is not None), len(forces), len(stress)
        reason = (
            f"expected an energy, {len(atoms)} forces and 6 stresses in ABINIT's "
            "output, got {}, {} and {} of them".format(*got)
        )
        raise LabellingError(FailureKind.CRASHED, reason, tail_of(output))
    voigt = ("1 1", "2 2", "3 3", "3 2", "3 1", "2 1")
    return Label(
        float(energy.group(1)) * Hartree,
        np.array(forces, dtype=np.float64) * (Hartree / Bohr),
        np.array([float(stress[key]) for key in voigt]) * (Hartree / Bohr**3),
    )


def elements(theory: AbinitTheory) -> frozenset[str]:
    """Return the elements that have a pseudopotential."""
    return potential_elements(theory.pseudopotentials)


PROGRAM: Final = Program(
    name="ABINIT",
    variable="FIRE_ABINIT",
    command="abinit",
    arguments=("label.abi",),
    probe=("--version",),
    release=r"^(\d+(?:\.\d+)+)",
    install="install it (Debian: apt install abinit)",
    write=write,
    read=read,
    causes=CAUSES,
    state=("label_o_WFK",),
    elements=elements,
)
LABELLER: Final = ProgramLabeller(AbinitTheory, PROGRAM)
