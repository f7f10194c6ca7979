"""Quantum ESPRESSO's pw.x: input by ASE, output of release 6.7.

Giannozzi et al., J. Phys.: Condens. Matter 29 (2017) 465901.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.units import Bohr, Ry, kB

from fire_core.config.dft import EspressoTheory
from fire_core.errors import LabellingError
from fire_core.labelling.codes.gth import VALENCE
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
    (FailureKind.MISSING_POTENTIAL, r"file .{0,200}\.(?:upf|gth).{0,40} not found"),
    (FailureKind.NOT_CONVERGED, r"convergence NOT achieved"),
    (FailureKind.BAD_GEOMETRY, r"atoms .{0,40}(?:overlap|too close)|check_atoms"),
    OUT_OF_MEMORY,
)
DISPERSIONS: Final = {"D3": 3, "D3(BJ)": 4}
NUMBER: Final = r"([-+]?\d+\.\d+)"


def write(
    theory: EspressoTheory, atoms: Atoms, folder: Path, effort: ScfSettings
) -> None:
    """Write label.in and the pseudopotentials."""
    from ase.io.espresso import write_espresso_in

    mesh = monkhorst_pack(atoms, theory.k_spacing)
    path = folder / "label.in"
    with path.open("w", encoding="utf-8") as file:
        write_espresso_in(
            file,
            atoms,
            input_data=_namelists(theory, atoms, effort),
            pseudopotentials=place_potentials(
                theory.pseudopotentials, atoms, folder / "pseudopotentials", ".upf"
            ),
            kpts=mesh,
            # pw.x counts its mesh from Γ; Monkhorst and Pack's even one is shifted
            koffset=tuple(int(n % 2 == 0) for n in mesh),
        )


def _namelists(
    theory: EspressoTheory, atoms: Atoms, effort: ScfSettings
) -> dict[str, Any]:
    system: dict[str, Any] = {
        "ecutwfc": theory.cutoff,
        "ecutrho": theory.density_cutoff,
        "input_dft": theory.functional,
        "occupations": "fixed",
        # With it pw.x would add k-points where the lattice has symmetry, and a strain
        # that breaks it would change the mesh.
        "nosym": True,
    }
    if theory.electronic_temperature > 0:
        degauss = theory.electronic_temperature * kB / Ry
        system |= {"occupations": "smearing", "smearing": "fd", "degauss": degauss}
    if theory.dispersion != "none":
        system |= {
            "vdw_corr": "dft-d3",
            "dftd3_version": DISPERSIONS[theory.dispersion],
            "dftd3_threebody": False,  # as CP2K, ABINIT and VASP have it
        }
    if theory.spin_polarised:
        system["nspin"] = 2
        total = theory.fixed_moment(atoms.symbols)
        if total is not None:
            system["tot_magnetization"] = total
        for number, symbol in enumerate(dict.fromkeys(atoms.symbols), start=1):
            # pw.x wants a fraction of the valence electrons
            moment = theory.initial_moments.get(symbol, 0.0) / VALENCE.get(symbol, 1)
            system[f"starting_magnetization({number})"] = moment
    electrons: dict[str, Any] = {
        "conv_thr": theory.scf_tolerance * len(atoms),
        "electron_maxstep": effort.iterations,
        "mixing_beta": 0.2 if effort.careful else 0.7,
        # Thomas–Fermi screening by the local density suits cells of metal and insulator
        "mixing_mode": "local-TF" if effort.careful else "plain",
    }
    if effort.restart:
        electrons |= {"startingpot": "file"}
    control = {
        "calculation": "scf",
        "prefix": "label",
        "outdir": "./out",
        "pseudo_dir": "./pseudopotentials",
        "tprnfor": True,
        "tstress": True,
        "disk_io": "low",
    }
    return {"control": control, "system": system, "electrons": electrons}


def read(_theory: EspressoTheory, atoms: Atoms, _folder: Path, output: str) -> Label:
    """Return the label that the output holds, if it says that the SCF converged."""
    if "convergence has been achieved" not in output:
        reason = "pw.x does not say that the SCF converged"
        raise LabellingError(FailureKind.NOT_CONVERGED, reason, tail_of(output))
    energy = re.search(rf"^! +total energy += +{NUMBER} Ry", output, re.M)
    _, _, after = output.partition("Forces acting on atoms")
    total, _, _ = after.partition("Total force")
    rows = [line for line in total.splitlines() if "force =" in line][: len(atoms)]
    forces = [[float(x) for x in row.split("=")[1].split()] for row in rows]
    stress = re.search(r"total +stress .*\n" + rf"( +{NUMBER}.*\n){{3}}", output)
    if energy is None or len(forces) != len(atoms) or stress is None:
        got = int(energy is not None), len(forces), int(stress is not None)
        reason = (
            f"expected an energy, {len(atoms)} forces and a stress in pw.x's output, "
            "got {}, {} and {} of them".format(*got)
        )
        raise LabellingError(FailureKind.CRASHED, reason, tail_of(output))
    lines = stress.group(0).splitlines()[1:]
    tensor = np.array([[float(x) for x in line.split()[:3]] for line in lines])
    tensor *= -Ry / Bohr**3  # pw.x: positive when squeezed
    return Label(
        float(energy.group(1)) * Ry,
        np.array(forces, dtype=np.float64) * (Ry / Bohr),
        tensor[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)],
    )


def elements(theory: EspressoTheory) -> frozenset[str]:
    """Return the elements that have a pseudopotential."""
    return potential_elements(theory.pseudopotentials)


PROGRAM: Final = Program(
    name="Quantum ESPRESSO",
    variable="FIRE_ESPRESSO",
    command="pw.x",
    arguments=("-in", "label.in"),
    probe=(),
    release=r"Program PWSCF v\.(\d+(?:\.\d+)*)",
    install="install it (Debian: apt install quantum-espresso)",
    write=write,
    read=read,
    causes=CAUSES,
    state=("out/label.save/charge-density.dat", "out/label.save/data-file-schema.xml"),
    same_cell=True,
    farthest=0.03,  # at 0.1 Å a label took as many iterations and 17 % more time
    elements=elements,
)
LABELLER: Final = ProgramLabeller(EspressoTheory, PROGRAM)
