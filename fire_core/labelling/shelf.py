"""Wave functions and densities of finished structures, to start the next ones from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

if TYPE_CHECKING:
    from fire_core.config.dft import DftTheory

KEPT: Final = 8
"""Structures of one composition and theory that a machine keeps; the oldest goes."""
FARTHEST: Final = 1.5  # Å, root mean square; beyond it a fresh start is as good
SAME_CELL: Final = 1e-6  # Å


@dataclass(frozen=True, slots=True)
class RestartFiles:
    """A folder of restart files, or none.

    Processes share it: an entry appears whole, by a rename, and may vanish.
    """

    root: Path | None
    state: tuple[str, ...]
    same_cell: bool = False
    farthest: float = FARTHEST

    def fetch(self, theory: DftTheory, atoms: Atoms, folder: Path) -> bool:
        """Copy the files of the nearest structure of the same atoms; False: none."""
        if self.root is None or not self.state:
            return False
        ranked = sorted(
            (distance, entry)
            for entry in self._place(theory, atoms).glob("*-*")
            if (distance := self._distance(entry, atoms)) <= self.farthest
        )
        for _, entry in ranked:
            try:
                shutil.copytree(entry / "state", folder, dirs_exist_ok=True)
            except OSError:  # another process made room
                self.clear(folder)
            else:
                return True
        return False

    def keep(self, theory: DftTheory, atoms: Atoms, folder: Path) -> None:
        """Keep a finished calculation's files, and make room for them."""
        if self.root is None or not self.has(folder):
            return
        place = self._place(theory, atoms)
        place.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=place, prefix=".new"))
        (made / "atoms.json").write_text(json.dumps(_facts(atoms)), encoding="utf-8")
        for path in self._files(folder):
            target = made / "state" / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
        made.rename(place / f"{os.getpid()}-{made.name[4:]}")
        entries = sorted(place.glob("*-*"), key=_age)
        for old in entries[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def has(self, folder: Path) -> bool:
        """Return whether a calculation left files to start from."""
        return bool(self._files(folder))

    def clear(self, folder: Path) -> None:
        """Remove them."""
        for path in self._files(folder):
            path.unlink(missing_ok=True)

    def _files(self, folder: Path) -> list[Path]:
        found = {path for pattern in self.state for path in folder.glob(pattern)}
        return sorted(path for path in found if path.is_file())

    def _place(self, theory: DftTheory, atoms: Atoms) -> Path:
        """Return the folder of a theory and a sequence of species."""
        text = theory.model_dump_json() + json.dumps(atoms.numbers.tolist())
        return Path(self.root or "") / hashlib.sha256(text.encode()).hexdigest()[:16]

    def _distance(self, entry: Path, atoms: Atoms) -> float:
        """Return the root mean square displacement, Å; infinite where unusable."""
        try:
            there = Atoms(**json.loads((entry / "atoms.json").read_text("utf-8")))
        except OSError:
            return np.inf
        strain = np.abs(there.cell.array - atoms.cell.array).max()
        if self.same_cell and strain > SAME_CELL:
            return np.inf
        moved = atoms.get_scaled_positions() - there.get_scaled_positions()
        vectors, _ = find_mic(moved @ atoms.cell.array, atoms.cell, atoms.pbc)
        return float(np.sqrt((vectors**2).sum(axis=1).mean()) + strain)


def _facts(atoms: Atoms) -> dict[str, object]:
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
