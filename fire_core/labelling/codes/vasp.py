"""VASP: input and output by pymatgen. It was never run where FIRE was developed.

Kresse, Furthmüller, Phys. Rev. B 54 (1996) 11169. The settings are those of
pymatgen's MPStaticSet, but for these:

- ISMEAR -1 (Fermi–Dirac) in place of -5, whose forces in metals are no derivatives of
  the energy;
- the theory's own, tighter EDIFF, its mesh of k-points, and no spin unless it asks;
- no +U, which the Materials Project puts on some oxides and fluorides;
- ISYM 0: a snapshot has no symmetry, and a mesh must not break that of a crystal.

Where custodian is installed it runs VASP; see `vasp_custodian`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.units import GPa, kB

from fire_core.config.dft import VaspTheory
from fire_core.errors import ConfigError, LabellingError
from fire_core.labelling.codes.potcars import potential_names, write_potcar
from fire_core.labelling.codes.vasp_custodian import find_changes, under_custodian
from fire_core.labelling.dft import ProgramLabeller
from fire_core.labelling.kpoints import monkhorst_pack
from fire_core.labelling.program import Program, ScfSettings
from fire_core.labelling.triage import tail_of
from fire_core.records import FailureKind, Label

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

# From VASP's wiki and custodian's error handlers, not from runs of our own.
CAUSES: Final = (
    (FailureKind.NOT_CONVERGED, r"self-consistency was not achieved"),
    (FailureKind.NOT_CONVERGED, r"Error EDDDAV: Call to ZHEGV failed"),
    (FailureKind.NOT_CONVERGED, r"ERROR EDDIAG: Call to routine ZHEEV failed"),
    (FailureKind.BAD_GEOMETRY, r"LAPACK: Routine ZPOTRF failed"),
    (FailureKind.OUT_OF_MEMORY, r"insufficient virtual memory|cannot allocate memory"),
)
DISPERSIONS: Final = {"D3": 11, "D3(BJ)": 12}
KILOBAR: Final = 0.1 * GPa
NARROW: Final = 1e-3  # eV, where occupations are to be fixed; VASP wants some width
OUTPUT: Final = "vasprun.xml"
AS_EVER: Final = ScfSettings(0)  # effort sets none of the tags that make a label


def write(theory: VaspTheory, atoms: Atoms, folder: Path, effort: ScfSettings) -> None:
    """Write POSCAR, INCAR, KPOINTS and POTCAR."""
    from pymatgen.core import Structure
    from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar

    (folder / OUTPUT).unlink(missing_ok=True)
    ordered = atoms[_order(atoms)]
    structure = Structure(
        ordered.cell.array,
        list(ordered.symbols),
        ordered.positions,
        coords_are_cartesian=True,
    )
    mesh = monkhorst_pack(atoms, theory.k_spacing)
    Poscar(structure).write_file(folder / "POSCAR", significant_figures=16)
    Incar(_incar(theory, ordered, effort)).write_file(folder / "INCAR")
    Kpoints.monkhorst_automatic(mesh).write_file(folder / "KPOINTS")
    write_potcar(theory, list(dict.fromkeys(ordered.symbols)), folder / "POTCAR")


def _order(atoms: Atoms) -> NDArray[np.intp]:
    """Return the order that puts the atoms of an element together."""
    return np.argsort(atoms.numbers, kind="stable")


def _incar(theory: VaspTheory, atoms: Atoms, effort: ScfSettings) -> dict[str, Any]:
    incar: dict[str, Any] = {
        "ENCUT": theory.cutoff,
        "PREC": "Accurate",
        "ALGO": "Normal" if effort.careful else "Fast",
        "LASPH": True,
        "LREAL": False,
        "LMAXMIX": 4 if max(atoms.numbers) <= 56 else 6,
        "EDIFF": theory.scf_tolerance * len(atoms),
        "NELM": effort.iterations,
        "NSW": 0,
        "IBRION": -1,
        "ISIF": 2,
        "ISYM": 0,
        "ISMEAR": -1,
        "SIGMA": theory.electronic_temperature * kB,
        "ISPIN": 2 if theory.spin_polarised else 1,
        "ISTART": int(effort.restart),
        "ICHARG": 1 if effort.restart else 2,
        "LWAVE": True,
        "LCHARG": True,
    }
    if theory.electronic_temperature == 0:
        incar |= {"ISMEAR": 0, "SIGMA": NARROW}
    if theory.functional == "PBE":
        incar["GGA"] = "Pe"
    else:
        incar |= {"METAGGA": "R2scan", "ALGO": "All", "LMIXTAU": True}
    if theory.dispersion != "none":
        incar["IVDW"] = DISPERSIONS[theory.dispersion]
    if theory.spin_polarised:
        moments = theory.initial_moments
        incar["MAGMOM"] = [moments.get(symbol, 0.0) for symbol in atoms.symbols]
        moment = theory.fixed_moment(atoms.symbols)
        if moment is not None:
            incar["NUPDOWN"] = moment
    if effort.careful:
        # The wiki's advice for a density that oscillates: short, linear steps
        incar |= {"AMIX": 0.2, "BMIX": 1e-4}
        if theory.spin_polarised:
            incar |= {"AMIX_MAG": 0.8, "BMIX_MAG": 1e-4}
    return incar


def read(theory: VaspTheory, atoms: Atoms, folder: Path, output: str) -> Label:
    """Return the label of vasprun.xml, if it says that the SCF converged."""
    run = _parse(folder / OUTPUT, output)
    if run.vasp_version.split()[0] != theory.release:
        msg = (
            f"the theory asks for VASP {theory.release}, but FIRE_VASP is "
            f"{run.vasp_version}: set it to another one, or theory.release to this "
            "one, which is another theory"
        )
        raise ConfigError(msg)
    changes = find_changes(_incar(theory, atoms[_order(atoms)], AS_EVER), folder)
    if changes or not _has_mesh(theory, atoms, folder):
        reason = (
            "custodian got VASP to its end with settings of another theory: "
            f"{', '.join(changes) or 'other k-points'}"
        )
        raise LabellingError(FailureKind.CRASHED, reason, tail_of(output))
    if not run.converged_electronic:
        reason = "VASP's vasprun.xml does not say that the SCF converged"
        raise LabellingError(FailureKind.NOT_CONVERGED, reason, tail_of(output))
    step = run.ionic_steps[-1]
    forces = np.empty((len(atoms), 3))
    forces[_order(atoms)] = step["forces"]
    tensor = -np.array(step["stress"], dtype=np.float64) * KILOBAR  # VASP: of pressure
    return Label(
        float(step["e_fr_energy"]),
        forces,
        tensor[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)],
    )


def _has_mesh(theory: VaspTheory, atoms: Atoms, folder: Path) -> bool:
    """Return whether the k-points are still those that were written."""
    from pymatgen.io.vasp.inputs import Kpoints

    path = folder / "KPOINTS"
    if not path.is_file():
        return True
    meant = Kpoints.monkhorst_automatic(monkhorst_pack(atoms, theory.k_spacing))
    there = Kpoints.from_file(path)
    return (there.kpts, there.style) == (meant.kpts, meant.style)


def _parse(path: Path, output: str) -> Any:
    from pymatgen.io.vasp.outputs import Vasprun

    try:  # half a file is a SyntaxError of the XML
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of what is judged here
            return Vasprun(
                path, parse_dos=False, parse_eigen=False, parse_potcar_file=False
            )
    except (OSError, SyntaxError, IndexError, KeyError) as error:
        reason = f"VASP left no whole {path.name}: {error}"
        raise LabellingError(FailureKind.CRASHED, reason, tail_of(output)) from error


def elements(theory: VaspTheory) -> frozenset[str]:
    """Return the elements that the theory names a POTCAR of."""
    return frozenset(potential_names(theory))


PROGRAM: Final = Program(
    name="VASP",
    variable="FIRE_VASP",
    command="vasp_std",
    arguments=(),
    probe=None,  # VASP tells its release in its output alone; `read` looks
    release="",
    install="it needs a licence (https://www.vasp.at)",
    write=write,
    read=read,
    causes=CAUSES,
    state=("WAVECAR", "CHGCAR"),
    same_cell=True,
    elements=elements,
    wrap=under_custodian,
)
LABELLER: Final = ProgramLabeller(VaspTheory, PROGRAM)
