"""Read extended XYZ frame by frame, so that one bad frame hides no other."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from fire_core.records import Label, LabelledStructure, Problem
from fire_core.structures.content import structure_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

LABEL_WORDS = ("energy", "force", "stress", "virial", "grad")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFrame:
    """A sound frame of a file.

    Attributes
    ----------
    item
        The structure with its label.
    unread
        Names in the file that look like labels and are none of ASE's, such as
        `REF_energy` or `virial`; what they hold was not read.
    """

    item: LabelledStructure
    unread: tuple[str, ...]


def iter_frame_texts(path: Path) -> Iterator[str]:
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


def read_frame(
    text: str, theory: str, find_problems: Callable[[Atoms], list[Problem]]
) -> LabelledFrame | Problem:
    """Return a frame with its label, or what is wrong with it.

    Parameters
    ----------
    text
        One frame, as `iter_frame_texts` yields it.
    theory
        Theory level of a frame that does not name its own (`theory=` in its comment
        line).
    find_problems
        What makes a structure unfit.
    """
    lines = text.splitlines()
    try:
        expected = int(lines[0]) + 2
    except ValueError:
        return Problem("unreadable", f"expected a number of atoms, got {lines[0]!r}")
    if len(lines) < expected:
        detail = f"expected {expected} lines, got {len(lines)}: the file is truncated"
        return Problem("truncated", detail)
    from ase.io import read  # half a second of imports

    try:
        frame = read(io.StringIO(text), format="extxyz")
    except (ValueError, KeyError, IndexError, OSError, AttributeError) as error:
        return Problem("unreadable", f"{type(error).__name__}: {error}")
    unread = _names_like_labels(frame)
    label = _label_of(frame, unread)
    if isinstance(label, Problem):
        return label
    bare = Atoms(
        frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc
    )
    problems = find_problems(bare)
    if problems:
        return problems[0]
    given = str(frame.info.get("theory", theory))
    item = LabelledStructure(structure_key(bare), bare, label, given)
    return LabelledFrame(item, unread)


def _names_like_labels(frame: Atoms) -> tuple[str, ...]:
    numbers = [n for n, value in frame.info.items() if not isinstance(value, str)]
    names = (*numbers, *frame.arrays)
    return tuple(n for n in names if any(word in n.lower() for word in LABEL_WORDS))


def _label_of(frame: Atoms, unread: tuple[str, ...]) -> Label | Problem:
    results: Mapping[str, object] = {} if frame.calc is None else frame.calc.results
    if "energy" not in results or "forces" not in results:
        have = ", ".join(results) or "neither"
        detail = f"expected energy and forces, got {have}"
        if unread:
            detail += (
                f"; the file has {', '.join(unread)}: if those are the labels, rename "
                "them to energy and forces"
            )
        kind = "no_forces" if "energy" in results else "no_energy"
        return Problem(kind, detail)
    energy = np.asarray(results["energy"], np.float64)
    forces = np.asarray(results["forces"], np.float64)
    stress = results.get("stress")
    voigt = None if stress is None else np.array(stress, np.float64)
    if np.shape(forces) != (len(frame), 3) or np.ndim(energy) != 0:
        return Problem("wrong_shape", f"forces have shape {np.shape(forces)}")
    if voigt is not None and voigt.shape != (6,):
        return Problem("wrong_shape", f"stress has shape {voigt.shape}")
    numbers = [np.ravel(energy), np.ravel(forces)]
    numbers += [] if voigt is None else [voigt]
    if not np.isfinite(np.concatenate(numbers)).all():
        return Problem("not_finite", "energy, forces or stress hold NaN or infinity")
    return Label(float(energy), forces, voigt)
