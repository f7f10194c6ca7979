"""Outputs of Quantum ESPRESSO's pw.x: scf, relax, vc-relax, md."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.units import Bohr, Ry

from fire_core.importing.espresso_theory import read_theory
from fire_core.importing.frames import (
    MATRIX_TO_VOIGT,
    CalculatedFrame,
    Outcome,
    bare,
    refuse,
    refuse_unconverged,
)
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.labelling.theory import Theory

START: Final = "Program PWSCF"
CONFIGURATION: Final = re.compile(rf"^.*(?:{START}|ATOMIC_POSITIONS)", re.M)
"""Where ASE's reader sees a structure begin; chunk i of the text is its image i."""
RESULTS: Final = re.compile(
    r"End of (?:self-consistent|band structure) calculation|Magnetic moment per site"
    r"|^! .*|Forces acting on atoms|total +stress|the Fermi energy is"
    r"|number of k points=|highest occupied|Debye",
    re.M,
)
"""Headings of what ASE need not read."""
ROUNDING: Final = 1.06  # thresholds are printed with two digits
SHALLOW: Final = frozenset(["H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne"])
NUMBER: Final = r"[-+]?\d+\.\d+(?:[EeDd][-+]?\d+)?"


def read_espresso(path: Path) -> Iterator[Outcome]:
    """Yield every structure whose SCF was begun; structures and cells by ASE.

    pw.x's total energy is the free energy F = E - TS, which its forces belong to.
    """
    from ase.io.espresso import read_espresso_out

    text = path.read_text(encoding="utf-8", errors="replace")
    begins = [match.start() for match in CONFIGURATION.finditer(text)]
    ends = [*begins[1:], len(text)]
    # ASE stops at the bands of an SCF that broke off; only structures are asked of it
    structures = io.StringIO(RESULTS.sub("", text))
    images = read_espresso_out(structures, results_required=False)
    theory: Theory | None = None
    threshold = 0.0
    number = 0
    for begin, end, image in zip(begins, ends, images, strict=True):
        chunk = text[begin:end]
        if START in chunk:
            theory, threshold = read_theory(chunk), _threshold(chunk)
        if "iteration #" not in chunk:
            continue  # a relaxation prints its last structure twice
        if problem := _why_unconverged(chunk, threshold):
            yield refuse_unconverged(number, problem)
        else:
            yield _outcome(number, chunk, bare(image), theory)
        number += 1


def _outcome(number: int, chunk: str, atoms: Atoms, theory: Theory | None) -> Outcome:
    energies = re.findall(rf"^!!? +total energy += +({NUMBER}) Ry", chunk, re.M)
    if not energies:
        return refuse(number, "no_energy", "pw.x printed no total energy for it")
    forces = _forces(chunk)
    if len(forces) != len(atoms):
        detail = (
            f"expected {len(atoms)} forces, got {len(forces)}; pw.x prints them with "
            "tprnfor=.true."
        )
        return refuse(number, "no_forces", detail)
    stress = None if _has_wrong_stress(theory) else _stress(chunk)
    label = Label(float(energies[-1]) * Ry, forces, stress)
    return CalculatedFrame(number, atoms, label, theory)


def _has_wrong_stress(theory: Theory | None) -> bool:
    """Return whether a pseudopotential with p or d projectors was read from GTH.

    The stress of pw.x 6.7 is then wrong by up to 3 GPa, while energies and forces are
    right (docs/labelling.md). GTH files up to neon have s projectors at most.
    """
    settings = json.loads(theory.settings_json) if theory else {}
    return any(
        name.split()[0].lower().endswith(".gth") and not _is_light(symbol)
        for symbol, name in settings.get("pseudopotentials", {}).items()
    )


def _is_light(species: str) -> bool:
    """Return whether a species of pw.x, such as Li or O_h, is at most neon."""
    symbol = re.match(r"[A-Za-z]+", species)
    return symbol is not None and symbol.group(0).capitalize() in SHALLOW


def _why_unconverged(chunk: str, threshold: float) -> str | None:
    """Return why the SCF is not converged; None: it is.

    With scf_must_converge=.false. pw.x 6.7 says "convergence has been achieved" after
    its last iteration whatever it reached, so its own estimate is held against the
    threshold.
    """
    if found := re.search(r"convergence NOT achieved.*", chunk):
        return f"pw.x says: {found.group(0).strip()}"
    if "convergence has been achieved" not in chunk:
        return "pw.x does not say that the SCF converged; the output ends before"
    if re.search(r"EXX.{0,40}(?:NOT|not) ", chunk):
        return "pw.x says that exact exchange did not converge"
    reached = re.findall(r"estimated scf accuracy +< +(\S+) Ry", chunk)
    if not reached or float(reached[-1]) > ROUNDING * threshold:
        got = reached[-1] if reached else "none"
        return f"the estimated scf accuracy is {got} Ry, the threshold {threshold} Ry"
    return None


def _threshold(chunk: str) -> float:
    """Return the SCF threshold that the run began with; relaxations tighten it, Ry."""
    found = re.search(r"scf convergence threshold += +(\S+)", chunk)
    return float(found.group(1)) if found else 0.0


def _forces(chunk: str) -> NDArray[np.float64]:
    """Return the total forces, (n_atoms, 3), eV/Å; contributions follow them."""
    _, _, after = chunk.partition("Forces acting on atoms")
    rows = re.findall(
        rf"atom +(\d+) type +\d+ +force = +({NUMBER}) +({NUMBER}) +({NUMBER})",
        after.partition("Total force")[0],
    )
    numbers = [int(row[0]) for row in rows]
    total = rows[: numbers.index(1, 1)] if numbers.count(1) > 1 else rows
    values = np.array([row[1:] for row in total], dtype=np.float64).reshape(-1, 3)
    forces: NDArray[np.float64] = values * (Ry / Bohr)
    return forces


def _stress(chunk: str) -> NDArray[np.float64] | None:
    """Return the stress, (6,), eV/Å³; pw.x counts it positive when squeezed."""
    rows = re.search(rf"total +stress .*\n((?: +{NUMBER}.*\n){{3}})", chunk)
    if rows is None:
        return None
    lines = [line.split()[:3] for line in rows.group(1).splitlines()]
    tensor = np.array(lines, dtype=np.float64) * (-Ry / Bohr**3)
    voigt: NDArray[np.float64] = tensor[MATRIX_TO_VOIGT]
    return voigt
