"""VASP's vasprun.xml, read by pymatgen."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms
from ase.units import GPa

from fire_core.importing.frames import (
    MATRIX_TO_VOIGT,
    CalculatedFrame,
    Outcome,
    refuse,
    refuse_unconverged,
)
from fire_core.importing.mesh import describe_mesh
from fire_core.importing.vasp_theory import vasp_theory
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fire_core.labelling.theory import Theory

KILOBAR: Final = 0.1 * GPa
FIXED_DENSITY: Final = 10
"""From here on ICHARG says that there was no self-consistency."""
PRINTED: Final = 2e-8
"""Error of a difference of energies that are printed with eight digits, eV."""


def read_vasprun(path: Path) -> Iterator[Outcome]:
    """Yield every ionic step; a step that a broken file ends in is refused, too."""
    from pymatgen.io.vasp.outputs import Vasprun

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of is refused step by step
        run = Vasprun(
            path,
            parse_dos=False,
            parse_eigen=False,
            parse_potcar_file=False,
            exception_on_bad_xml=False,
        )
    theory = _theory(run)
    for number, step in enumerate(run.ionic_steps):
        yield _outcome(number, step, run, theory)
    read = len(run.ionic_steps)
    for number in range(read, _count_steps(path)):
        yield refuse(number, "truncated", "the file ends within this ionic step")
    for number in range(len(run.md_data)):
        detail = "energies of a machine-learned force field, no SCF"
        yield refuse(read + number, "not_converged", detail)


def _outcome(
    number: int, step: Mapping[str, Any], run: Any, theory: Theory | None
) -> Outcome:
    if problem := _why_unconverged(step["electronic_steps"], run.parameters):
        return refuse_unconverged(number, problem)
    if step["structure"] is None or "e_fr_energy" not in step:
        return refuse(number, "no_energy", "the step has no structure or no energy")
    if "forces" not in step:
        return refuse(number, "no_forces", "the step has no forces")
    structure = step["structure"]
    atoms = Atoms(
        list(run.atomic_symbols),
        scaled_positions=structure.frac_coords,
        cell=structure.lattice.matrix,
        pbc=True,
    )
    # e_fr_energy of an ionic step is an enthalpy, of a scstep it lacks dispersion
    pressure = float(run.parameters.get("PSTRESS", 0.0)) * KILOBAR
    energy = float(step["e_fr_energy"]) - pressure * atoms.get_volume()
    stress = None
    if "stress" in step:
        tensor = -KILOBAR * np.array(step["stress"], dtype=np.float64)
        stress = tensor[MATRIX_TO_VOIGT]
    forces = np.array(step["forces"], dtype=np.float64)
    label = Label(float(energy), forces, stress)
    return CalculatedFrame(number, atoms, label, theory)


def _why_unconverged(steps: list[dict[str, float]], used: Mapping[str, Any]) -> str:
    """Return why the SCF of an ionic step is not converged; empty: it is.

    VASP stops at NELM without a word in this file, and a person stops it with LABORT;
    the change of the free energy is therefore held against EDIFF, too.
    """
    if int(used.get("ICHARG", 0)) >= FIXED_DENSITY:
        return f"ICHARG {used['ICHARG']}: the density was held fixed"
    if len(steps) < 2:
        return f"{len(steps)} electronic steps in the file: nothing shows convergence"
    limit, threshold = int(used.get("NELM", 60)), float(used.get("EDIFF", 1e-4))
    if len(steps) >= limit:
        return f"{len(steps)} electronic steps, NELM {limit}"
    energies = [step.get("e_fr_energy", np.nan) for step in steps[-2:]]
    change = abs(energies[1] - energies[0])
    if not change <= threshold + PRINTED:
        return f"the energy still changed by {change:.2e} eV, EDIFF {threshold:.2e} eV"
    return ""


def _theory(run: Any) -> Theory | None:
    given = {name: value for name, value in run.incar.items() if value is not None}
    used = dict(run.parameters)
    effective = used | {"ENCUT": used.get("ENMAX"), "IVDW": given.get("IVDW", 0)}
    if effective["ENCUT"] is None:
        return None
    k_points = describe_mesh(run.actual_kpoints)
    if "KSPACING" in given and run.kpoints.style.name != "Reciprocal":
        k_points = (
            f"spacing {float(given['KSPACING'])} gamma {used.get('KGAMMA', True)}"
        )
    titles = [str(title) for title in run.potcar_symbols]
    return vasp_theory(run.vasp_version, titles, effective, given, k_points)


def _count_steps(path: Path) -> int:
    """Return how many ionic steps the file begins."""
    from monty.io import zopen

    with zopen(path, mode="rt", encoding="utf-8", errors="replace") as stream:
        return sum(len(re.findall(r"<calculation>", str(line))) for line in stream)
