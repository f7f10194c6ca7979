"""Labelled structures in and out as extended XYZ, to the last bit."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.io import read

from fire_core.errors import StoreError
from fire_core.records import Label, Problem
from fire_core.structures.content import structure_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fire_core.storage.store import Store

MATRIX_OF_VOIGT = ((0, 5, 4), (5, 1, 3), (4, 3, 2))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A frame that was not imported, and why."""

    frame: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes
    ----------
    accepted
        Keys of structures whose label is new.
    duplicates
        Keys whose label was there already.
    refused
        Frames left out, each with its reason.
    """

    accepted: list[str]
    duplicates: list[str]
    refused: list[Refusal]


def import_extxyz(
    store: Store,
    path: Path,
    theory: str,
    find_problems: Callable[[Atoms], list[Problem]],
) -> ImportReport:
    """Import every sound frame of an extxyz file as a finished label.

    Parameters
    ----------
    store
        Where to.
    path
        File with energies (eV) and forces (eV/Å), stresses (eV/Å³) where known.
    theory
        Fingerprint that the labels belong to; it must be in the store.
    find_problems
        What makes a structure unfit.

    Raises
    ------
    StoreError
        The file is missing, or holds no frame at all.
    """
    if not path.is_file():
        msg = f"no file at {path}"
        raise StoreError(msg)
    refused: list[Refusal] = []
    structures: dict[str, Atoms] = {}
    labels: dict[str, Label] = {}
    for number, text in enumerate(_frames(path)):
        outcome = _read_frame(text, theory, find_problems)
        if isinstance(outcome, Problem):
            refused.append(Refusal(number, outcome))
            continue
        atoms, label = outcome
        key = structure_key(atoms)
        structures[key], labels[key] = atoms, label
    if not labels and not refused:
        msg = f"{path} holds no frame; expected extended XYZ"
        raise StoreError(msg)
    store.add_structures(list(structures.values()), source=f"import {path.name}")
    accepted, duplicates = store.add_labels(labels, theory)
    return ImportReport(accepted, duplicates, refused)


def export_extxyz(
    store: Store, path: Path, theory: str, keys: Sequence[str] | None = None
) -> int:
    """Write the finished labels of a theory; return how many.

    Every number is written with the digits that restore it exactly.
    """
    chosen = store.list_labelled_keys(theory) if keys is None else list(keys)
    partial = path.with_suffix(path.suffix + ".partial")
    with partial.open("w", encoding="utf-8") as stream:
        labelled = store.get_labelled(chosen, theory)
        for item in labelled:
            stream.write(
                frame_text(
                    item.atoms,
                    energy=item.label.energy,
                    forces=item.label.forces,
                    stress=item.label.stress,
                    info={"theory": theory},
                )
            )
    partial.replace(path)
    return len(labelled)


def frame_text(
    atoms: Atoms,
    *,
    energy: float,
    forces: NDArray[np.float64],
    stress: NDArray[np.float64] | None = None,
    info: Mapping[str, str] | None = None,
    digits: int | None = None,
) -> str:
    """Return one frame as extended XYZ.

    Parameters
    ----------
    atoms
        The structure.
    energy, forces, stress
        Its label in eV, eV/Å, eV/Å³ (Voigt).
    info
        Further words for the comment line; without spaces.
    digits
        Digits after the point; None: as many as restore the number exactly.
    """

    def number(value: float) -> str:
        return repr(float(value)) if digits is None else f"{value:.{digits}f}"

    def row(values: NDArray[np.float64]) -> str:
        return " ".join(number(v) for v in values)

    words = [
        f'Lattice="{row(atoms.cell.array.ravel())}"',
        "Properties=species:S:1:pos:R:3:forces:R:3",
        f"energy={number(energy)}",
    ]
    if stress is not None:
        matrix = np.asarray(stress)[np.array(MATRIX_OF_VOIGT)]
        words.append(f'stress="{row(matrix.ravel())}"')
    words += [f"{key}={value}" for key, value in (info or {}).items()]
    words.append('pbc="' + " ".join("T" if p else "F" for p in atoms.pbc) + '"')
    lines = [str(len(atoms)), " ".join(words)]
    lines += [
        f"{symbol} {row(position)} {row(force)}"
        for symbol, position, force in zip(
            atoms.get_chemical_symbols(), atoms.positions, forces, strict=True
        )
    ]
    return "\n".join(lines) + "\n"


def _frames(path: Path) -> Iterator[str]:
    """Yield the text of each frame; the last one may be cut short."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        while count := stream.readline():
            if not count.strip():
                continue
            try:
                n_lines = int(count) + 1
            except ValueError:
                yield count + stream.read()  # nothing after this can be trusted
                return
            yield count + "".join(stream.readline() for _ in range(n_lines))


def _read_frame(
    text: str, theory: str, find_problems: Callable[[Atoms], list[Problem]]
) -> tuple[Atoms, Label] | Problem:
    lines = text.splitlines()
    try:
        expected = int(lines[0]) + 2
    except ValueError:
        return Problem("unreadable", f"expected a number of atoms, got {lines[0]!r}")
    if len(lines) < expected:
        detail = f"expected {expected} lines, got {len(lines)}: the file is truncated"
        return Problem("truncated", detail)
    try:
        frame = read(io.StringIO(text), format="extxyz")
    except (ValueError, KeyError, IndexError, OSError, AttributeError) as error:
        return Problem("unreadable", f"{type(error).__name__}: {error}")
    given = str(frame.info.get("theory", theory))
    if given != theory:
        return Problem("mixed_theory", f"labelled with {given}, expected {theory}")
    label = _label_of(frame)
    if isinstance(label, Problem):
        return label
    bare = Atoms(
        frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc
    )
    problems = find_problems(bare)
    return problems[0] if problems else (bare, label)


def _label_of(frame: Atoms) -> Label | Problem:
    results = {} if frame.calc is None else frame.calc.results
    if "energy" not in results or "forces" not in results:
        have = ", ".join(results) or "neither"
        return Problem("no_energy", f"expected energy and forces, got {have}")
    energy, forces = results["energy"], np.asarray(results["forces"], np.float64)
    stress = results.get("stress")
    if np.shape(forces) != (len(frame), 3) or np.ndim(energy) != 0:
        return Problem("wrong_shape", f"forces have shape {np.shape(forces)}")
    if stress is not None and np.shape(stress) != (6,):
        return Problem("wrong_shape", f"stress has shape {np.shape(stress)}")
    numbers = [np.ravel(energy), np.ravel(forces)]
    numbers += [] if stress is None else [np.ravel(stress)]
    if not np.isfinite(np.concatenate(numbers)).all():
        return Problem("not_finite", "energy, forces or stress hold NaN or infinity")
    return Label(float(energy), forces, None if stress is None else np.array(stress))
