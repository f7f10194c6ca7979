"""Labels per core-hour with and without a start from a neighbour's density.

``python -m benchmarks.restarts [--frames N] [--quick]``. The same frames, as molecular
dynamics gives them, labelled twice in one run by CP2K and by pw.x, first afresh, then
from the nearest finished frame; the two take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.build import bulk

from fire_core.config.dft import Cp2kTheory, DftTheory, EspressoTheory
from fire_core.labelling.dft import program_of
from fire_core.labelling.program import Resources, compute

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.records import Label

RATTLE: Final = 0.04  # Å; successive frames of a selection differ by more or less
HOUR: Final = 3600.0


@dataclass(frozen=True)
class Case:
    """A theory, a crystal, and the pattern of its SCF iterations."""

    theory: DftTheory
    atoms: Atoms
    iterations: str


CASES: Final = {
    "CP2K, LiCl": Case(
        Cp2kTheory(k_spacing=2.0, cutoff=400.0),
        bulk("LiCl", "rocksalt", a=5.15, cubic=True),
        r"SCF run converged in +(\d+)",
    ),
    "pw.x, AlP": Case(
        EspressoTheory(k_spacing=0.8, cutoff=50.0, density_cutoff=200.0),
        bulk("AlP", "zincblende", a=5.5, cubic=True),
        r"convergence has been achieved in +(\d+)",
    ),
}


def label_once(
    case: Case, atoms: Atoms, shelf: Path | None
) -> tuple[Label, float, int]:
    """Return a label, its CPU seconds and its SCF iterations."""
    before = os.times()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = program_of(case.theory)
        label = compute(program, case.theory, atoms, folder, Resources(shelf=shelf))
        output = (folder / "label.out").read_text(encoding="utf-8", errors="replace")
    after = os.times()
    seconds = sum(after[2:4]) - sum(before[2:4])
    return label, seconds, int(re.findall(case.iterations, output)[-1])


def measure(case: Case, n: int) -> dict[str, Any]:
    """Label `n` frames both ways; the first restart finds nothing and counts, too."""
    afresh: list[tuple[Label, float, int]] = []
    restarted: list[tuple[Label, float, int]] = []
    with tempfile.TemporaryDirectory() as name:
        for seed in range(n):
            atoms = case.atoms.copy()
            atoms.rattle(RATTLE, seed=seed)
            afresh.append(label_once(case, atoms, None))
            restarted.append(label_once(case, atoms, Path(name)))
    gaps = [
        (abs(a[0].energy - b[0].energy), np.abs(a[0].forces - b[0].forces).max())
        for a, b in zip(afresh, restarted, strict=True)
    ]
    figures: dict[str, Any] = {"n": n, "atoms": len(case.atoms)}
    for way, rows in (("afresh", afresh), ("restarted", restarted)):
        seconds = sum(row[1] for row in rows)
        figures[way] = {
            "labels_per_core_hour": HOUR * n / seconds,
            "iterations": float(np.mean([row[2] for row in rows])),
        }
    rates = [figures[way]["labels_per_core_hour"] for way in ("restarted", "afresh")]
    figures["ratio"] = rates[0] / rates[1]
    figures["energy_gap_mev_per_atom"] = 1e3 * max(g[0] for g in gaps) / len(case.atoms)
    figures["force_gap_mev_per_angstrom"] = 1e3 * float(max(g[1] for g in gaps))
    return figures


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.restarts", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--frames", type=int, default=8)
    given = parser.parse_args()
    cases = {"pw.x, AlP": CASES["pw.x, AlP"]} if given.quick else CASES
    figures = {}
    for name, case in cases.items():
        program = program_of(case.theory)
        if shutil.which(program.command) is None:
            print(f"{name}: {program.name} is not here: {program.install}")
            continue
        found = figures[name] = measure(case, 2 if given.quick else given.frames)
        for way in ("afresh", "restarted"):
            row = found[way]
            print(
                f"{name:12s} {way:10s} {row['labels_per_core_hour']:7.1f} labels per "
                f"core-hour, {row['iterations']:5.1f} SCF iterations"
            )
        print(
            f"{name:12s} ratio {found['ratio']:.2f}; the labels differ by "
            f"{found['energy_gap_mev_per_atom']:.4f} meV/atom, "
            f"{found['force_gap_mev_per_angstrom']:.3f} meV/Å"
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
