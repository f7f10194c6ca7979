"""Labelled structures in and out as extended XYZ, to the last bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fire_core.errors import StoreError
from fire_core.progress import Work
from fire_core.records import Problem
from fire_core.structures.extxyz import iter_frame_texts, read_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.records import Label, LabelledStructure
    from fire_core.storage.store import Store

CHUNK = 256
"""Structures read at once."""
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
    for number, text in enumerate(iter_frame_texts(path)):
        outcome = _read_frame(text, theory, find_problems)
        if isinstance(outcome, Problem):
            refused.append(Refusal(number, outcome))
            continue
        structures[outcome.key] = outcome.atoms
        labels[outcome.key] = outcome.label
    if not labels and not refused:
        msg = f"{path} holds no frame; expected extended XYZ"
        raise StoreError(msg)
    store.structures.add(list(structures.values()), source=f"import {path.name}")
    accepted, duplicates = store.labels.add(labels, theory)
    return ImportReport(accepted, duplicates, refused)


def export_extxyz(
    store: Store, path: Path, theory: str, keys: Sequence[str] | None = None
) -> int:
    """Write the finished labels of a theory; return how many.

    Every number is written with the digits that restore it exactly.
    """
    chosen = store.labels.labelled_keys(theory) if keys is None else list(keys)
    partial = path.with_suffix(path.suffix + ".partial")
    number = 0
    with partial.open("w", encoding="utf-8") as stream:
        for item in stream_labelled(store, chosen, theory):
            number += 1
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
    return number


def stream_labelled(
    store: Store, keys: Sequence[str], theory: str
) -> Iterator[LabelledStructure]:
    """Yield the finished ones of some labels in order, few of them in memory."""
    with Work("Labelled structures", len(keys)) as work:
        for start in range(0, len(keys), CHUNK):
            part = keys[start : start + CHUNK]
            yield from store.labels.labelled(part, theory)
            work.advance(len(part))


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


def _read_frame(
    text: str, theory: str, find_problems: Callable[[Atoms], list[Problem]]
) -> LabelledStructure | Problem:
    outcome = read_frame(text, theory, find_problems)
    if isinstance(outcome, Problem):
        return outcome
    given = outcome.item.theory
    if given != theory:
        return Problem("mixed_theory", f"labelled with {given}, expected {theory}")
    return outcome.item
