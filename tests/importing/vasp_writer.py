"""Write vasprun.xml in VASP's form: made-up numbers, not computed by VASP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from ase.build import bulk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

NELM = 6
EDIFF = 1e-5


@dataclass
class Step:
    """An ionic step: free energies of its SCF, forces in eV/Å, stress in kbar."""

    atoms: Atoms
    energies: Sequence[float]
    forces: NDArray[np.float64] | None
    stress: NDArray[np.float64] | None
    dispersion: float = 0.0


@dataclass
class Run:
    """A run of VASP with what differs between tests."""

    steps: list[Step]
    incar: dict[str, str] = field(default_factory=dict)
    cutoff: float = 520.0
    titles: tuple[str, str] = ("PAW_PBE Li_sv 10Sep2004", "PAW_PBE Cl 06Sep2000")
    icharg: int = 2


def make_steps(n: int, seed: int = 0) -> list[Step]:
    """Return steps of rattled LiCl whose SCF converged."""
    rng = np.random.default_rng(seed)
    steps = []
    for number in range(n):
        atoms = bulk("LiCl", "rocksalt", a=5.1 + 0.01 * number)
        atoms.positions += rng.normal(0, 0.05, (2, 3))
        stress = rng.normal(0, 10, (3, 3))
        energies = [-7.0, -7.4 - number, -7.400004 - number]
        steps.append(Step(atoms, energies, rng.normal(size=(2, 3)), stress + stress.T))
    return steps


def write_vasprun(path: Path, run: Run) -> Path:
    """Write a run; numbers have eight digits, as VASP's have."""
    first = run.steps[0].atoms
    symbols = first.get_chemical_symbols()
    used = {"NELM": NELM, "ICHARG": run.icharg, "ISPIN": 1, "ISMEAR": 0, "NSW": 9}
    reals = {"ENMAX": run.cutoff, "EDIFF": EDIFF, "SIGMA": 0.05, "PSTRESS": 0.0}
    atoms = "".join(
        f"<rc><c>{s}</c><c>{n}</c></rc>" for n, s in enumerate(symbols, start=1)
    )
    types = "".join(
        f"<rc><c>1</c><c>{s}</c><c>1.0</c><c>1.0</c><c>{title}</c></rc>"
        for s, title in zip(symbols, run.titles, strict=True)
    )
    given = "".join(
        f'<i type="string" name="{name}">{value}</i>'
        for name, value in run.incar.items()
    )
    text = f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
<generator><i name="program" type="string">vasp </i>
<i name="version" type="string">6.4.2  </i></generator>
<incar>{given}</incar>
<kpoints><generation param="Gamma">
<v type="int" name="divisions">2 2 2</v><v name="usershift">0.0 0.0 0.0</v>
</generation>
{rows("kpointlist", [[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0.5]])}
{rows("weights", [[0.125], [0.375], [0.375], [0.125]])}
</kpoints>
<parameters><separator name="general">
<i type="string" name="PREC">accura</i><i type="string" name="GGA">PE</i>
{"".join(f'<i type="int" name="{n}">{v}</i>' for n, v in used.items())}
{"".join(f'<i name="{n}">{v:.8f}</i>' for n, v in reals.items())}
</separator></parameters>
<atominfo><atoms>{len(symbols)}</atoms><types>2</types>
<array name="atoms"><dimension dim="1">ion</dimension>
<field type="string">element</field><field type="int">atomtype</field>
<set>{atoms}</set></array>
<array name="atomtypes"><dimension dim="1">type</dimension>
<field type="int">atomspertype</field><field type="string">element</field>
<field>mass</field><field>valence</field><field type="string">pseudopotential</field>
<set>{types}</set></array></atominfo>
<structure name="initialpos">{structure(first)}</structure>
{"".join(calculation(step) for step in run.steps)}
<structure name="finalpos">{structure(run.steps[-1].atoms)}</structure>
</modeling>
"""
    path.write_text(text)
    return path


def calculation(step: Step) -> str:
    scf = "".join(f"<scstep>{energy(value)}</scstep>" for value in step.energies)
    forces = "" if step.forces is None else rows("forces", step.forces)
    stress = "" if step.stress is None else rows("stress", step.stress)
    total = energy(step.energies[-1] + step.dispersion)
    return (
        f"<calculation>\n{scf}\n<structure>{structure(step.atoms)}</structure>\n"
        f"{forces}\n{stress}\n{total}\n</calculation>\n"
    )


def energy(free: float) -> str:
    """Return energies; the one without entropy is another, so that a mix-up shows."""
    return (
        f'<energy><i name="e_fr_energy">{free:.8f}</i>'
        f'<i name="e_wo_entrp">{free + 0.02:.8f}</i>'
        f'<i name="e_0_energy">{free + 0.01:.8f}</i></energy>'
    )


def structure(atoms: Atoms) -> str:
    scaled = atoms.get_scaled_positions(wrap=False)
    return (
        f"<crystal>{rows('basis', atoms.cell.array)}"
        f'<i name="volume">{atoms.get_volume():.8f}</i>'
        f"{rows('rec_basis', atoms.cell.reciprocal().array)}</crystal>"
        f"{rows('positions', scaled)}"
    )


def rows(name: str, values: Sequence[Sequence[float]] | NDArray[np.float64]) -> str:
    lines = "".join(
        "<v>" + " ".join(f"{x:16.8f}" for x in row) + "</v>\n" for row in values
    )
    return f'<varray name="{name}">\n{lines}</varray>\n'
