"""Run GPAW; executed by another Python, never imported by FIRE.

It reads `label.json`, computes, and writes `result.json`. GPAW is under the GPL and
built against its own Python, so it stays in its own process. Units: eV, Å.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULT = Path("result.json")
STATE = Path("label.gpw")


def calculator(job: dict[str, Any]) -> Any:
    """Return GPAW with the job's settings, from the saved orbitals if it asks so."""
    from gpaw import GPAW

    if job["restart"]:
        return GPAW(str(STATE), txt="-", **job["effort"])
    return GPAW(txt="-", **job["settings"], **job["effort"])


def compute(job: dict[str, Any]) -> dict[str, Any]:
    """Return energy, forces, stress and how they came about."""
    import gpaw
    from ase import Atoms
    from gpaw import KohnShamConvergenceError

    atoms = Atoms(**job["atoms"])
    if job["moments"]:
        atoms.set_initial_magnetic_moments(job["moments"])
    atoms.calc = calc = calculator(job)
    try:
        energy = atoms.get_potential_energy(force_consistent=True)
    except KohnShamConvergenceError:
        calc.write(str(STATE), mode="all")  # to go on from
        raise
    result = {
        "release": gpaw.__version__,
        "converged": bool(calc.scf.converged),
        "setups": {s.symbol: s.fingerprint for s in calc.setups},
        "energy": float(energy),
        "forces": atoms.get_forces().tolist(),
        "stress": atoms.get_stress().tolist(),
    }
    calc.write(str(STATE), mode="all")
    return result


if __name__ == "__main__":
    from gpaw.mpi import world

    found = compute(json.loads(Path("label.json").read_text(encoding="utf-8")))
    if world.rank == 0:
        RESULT.write_text(json.dumps(found), encoding="utf-8")
