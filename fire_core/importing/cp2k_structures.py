"""The structures of a CP2K run, from its output and the files beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms

from fire_core.importing.frames import bare

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NUMBER: Final = r"([-+]?\d+\.\d+(?:E[-+]?\d+)?)"
SAME_ENERGY: Final = 2e-9  # hartree; trajectories print ten digits
SAME_VOLUME: Final = 1e-7  # relative; outputs print six digits of Å³


class Structures:
    """The structure of each step of a run.

    Parameters
    ----------
    head
        The output up to its first SCF.
    folder
        Where the output lies.
    """

    def __init__(self, head: str, folder: Path) -> None:
        name = re.search(r"Project name +(\S+)", head)
        project = folder / (name.group(1) if name else "PROJECT")
        self._moves = not re.search(r"Run type +ENERGY", head)
        self._first = _first_structure(head)
        self._positions = _Trajectory(project.with_name(f"{project.name}-pos-1.xyz"))
        self._forces = _Trajectory(project.with_name(f"{project.name}-frc-1.xyz"))
        self._cells = _read_cells(project.with_name(f"{project.name}-1.cell"))

    def find(self, number: int, energy: float) -> Atoms | str:
        """Return the structure of a step, or why there is none.

        Parameters
        ----------
        number
            The step, from 0.
        energy
            Its total energy, hartree, by which it is found in the trajectory.
        """
        if self._first is None:
            return "the output prints no atoms; raise its PRINT_LEVEL to MEDIUM"
        atoms = bare(self._first)
        step = self._positions.step_of(energy)
        if step is not None:
            atoms.positions = self._positions.values[step]
        elif number > 0:
            return f"no positions with its energy in {self._positions.path.name}"
        cell = self._cells.get(0 if step is None else step)
        if cell is not None:
            atoms.cell = cell
        elif problem := self._why_cell_unsure(number, self._first):
            return problem
        return atoms

    def forces(self, energy: float) -> NDArray[np.float64]:
        """Return the forces beside the output, (n_atoms, 3), hartree/bohr."""
        step = self._forces.step_of(energy)
        return np.zeros((0, 3)) if step is None else self._forces.values[step]

    def _why_cell_unsure(self, number: int, first: Atoms) -> str | None:
        name = self._positions.path.name.replace("-pos-1.xyz", "-1.cell")
        remedy = f"put {name} (MOTION/PRINT/CELL ON) beside the output"
        if first.info["rounded"]:
            return f"the output prints its cell rounded to 0.001 Å; {remedy}"
        if number > 0 and self._moves and not first.info["fixed_cell"]:
            return f"the cell may have changed; {remedy}"
        return None


class _Trajectory:
    """Rows of an xyz file of CP2K's by step, without units."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[int, NDArray[np.float64]] = {}
        self._energies: dict[int, float] = {}
        if path.is_file():
            self._read(path.read_text(encoding="utf-8").splitlines())

    def step_of(self, energy: float) -> int | None:
        """Return the step with a total energy, hartree."""
        for step, known in self._energies.items():
            if abs(known - energy) < SAME_ENERGY:
                return step
        return None

    def _read(self, lines: list[str]) -> None:
        place = 0
        while place + 1 < len(lines) and lines[place].strip().isdigit():
            count = int(lines[place])
            words = re.search(rf"i *= *(\d+).*E *= *{NUMBER}", lines[place + 1])
            rows = [line.split()[1:4] for line in lines[place + 2 : place + 2 + count]]
            if words and len(rows) == count and all(len(row) == 3 for row in rows):
                step = int(words.group(1))
                self._energies[step] = float(words.group(2))
                self.values[step] = np.array(rows, dtype=np.float64)
            place += 2 + count


def _read_cells(path: Path) -> dict[int, NDArray[np.float64]]:
    """Return the cells of PROJECT-1.cell by step, (3, 3), Å."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line[:1] != "#"]
    return {
        int(row[0]): np.array(row[2:11], dtype=np.float64).reshape(3, 3)
        for row in rows
        if len(row) >= 11
    }


def _first_structure(head: str) -> Atoms | None:
    table = head.partition("ATOMIC COORDINATES IN")[2]
    rows = re.findall(
        rf"^ +\d+ +\d+ +([A-Z][a-z]?) +\d+ +{NUMBER} +{NUMBER} +{NUMBER}", table, re.M
    )
    vectors = re.findall(
        rf"^ CELL\| Vector [abc] \[angstrom\]: +{NUMBER} +{NUMBER} +{NUMBER}",
        head,
        re.M,
    )
    volume = re.search(rf"^ CELL\| Volume \[angstrom\^3\]: +{NUMBER}", head, re.M)
    # sides of the box are printed in bohr by some releases; those are not read
    unit = table.lstrip().lower().startswith("angstrom")
    if not rows or len(vectors) != 3 or volume is None or not unit:
        return None
    periodic = re.search(r"^ CELL\| Periodicity +(\S+)", head, re.M)
    axes = periodic.group(1).upper() if periodic else "XYZ"
    atoms = Atoms(
        [row[0] for row in rows],
        positions=np.array([row[1:] for row in rows], dtype=np.float64),
        cell=np.array(vectors, dtype=np.float64),
        pbc=[axis in axes and axes != "NONE" for axis in "XYZ"],
    )
    stated = float(volume.group(1))
    off = abs(abs(np.linalg.det(atoms.cell.array)) - stated)
    atoms.info["rounded"] = off > SAME_VOLUME * stated + 1e-6
    atoms.info["fixed_cell"] = bool(
        re.search(r"Run type +GEO_OPT|(?i:Ensemble type) +(?:NV|LANGEVIN|ISOKIN)", head)
    )
    return atoms
