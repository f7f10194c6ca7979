"""ASE databases (ase.db): SQLite and JSON files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.importing.frames import (
    CalculatedFrame,
    Outcome,
    bare,
    refuse,
    theory_of,
)
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fire_core.labelling.theory import Theory

NO_SETTINGS: Final = frozenset({
    "command", "directory", "label", "txt", "profile", "pseudo_dir", "outdir", "prefix",
    "restart", "parallel", "atoms", "nthreads", "workdir",
})  # fmt: skip
"""Parameters of calculators that say where and how fast, not what."""


def read_ase_database(path: Path) -> Iterator[Outcome]:
    """Yield every row, in the order of its id.

    Whether an SCF converged is not in such a database. The free energy is taken where
    a row has one, since the forces belong to it.
    """
    from ase.db import connect

    kind = "json" if path.suffix == ".json" else "db"
    with connect(path, type=kind) as database:
        for number, row in enumerate(database.select(sort="id")):
            yield _outcome(number, row)


def _outcome(number: int, row: Any) -> Outcome:
    energy = row.get("free_energy", row.get("energy"))
    if energy is None:
        return refuse(number, "no_energy", f"row {row.id} has no energy")
    if row.get("forces") is None:
        return refuse(number, "no_forces", f"row {row.id} has no forces")
    found = row.get("stress")
    stress = None if found is None else np.array(found, dtype=np.float64)
    if stress is not None and stress.shape != (6,):
        detail = f"stress of row {row.id} has shape {stress.shape}, expected (6,)"
        return refuse(number, "wrong_shape", detail)
    forces = np.array(row.forces, dtype=np.float64)
    label = Label(float(energy), forces, stress)
    return CalculatedFrame(number, bare(row.toatoms()), label, _theory(row))


def _theory(row: Any) -> Theory | None:
    """Return the calculator's settings; None where the row names no settings."""
    settings = {
        name: value
        for name, value in (row.get("calculator_parameters") or {}).items()
        if name not in NO_SETTINGS
    }
    name = row.get("calculator")
    if not name or name == "unknown" or not settings:
        return None
    return theory_of(str(name), "unrecorded", settings)
