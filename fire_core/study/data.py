"""Read labelled trajectories and divide them by time into pool and test block."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.io import iread

from fire_core.errors import StructureError
from fire_core.records import Label, LabelledStructure
from fire_core.structures.content import structure_key
from fire_core.structures.frame_index import FrameIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from fire_core.config.study import EndBlockConfig

THEORY: Final = "study"  # all frames of a study are of one level, which none names
UNREADABLE: Final = (ValueError, KeyError, IndexError, OSError, AttributeError)


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """What a study trains on and is judged on.

    Attributes
    ----------
    pool
        May be trained on; trajectory after trajectory, in the order of time.
    test
        The test blocks, in the same order.
    repeats
        Frames left out of the pool because they stand in it already.
    leaks
        Frames left out of the pool because the same structure is in a test block.
    """

    pool: list[LabelledStructure]
    test: list[LabelledStructure]
    repeats: int
    leaks: int


def read_trajectory(path: Path, every: int = 1) -> list[LabelledStructure]:
    """Return every `every`-th labelled frame of an extxyz file, in its order.

    Raises
    ------
    StructureError
        The file is missing or unreadable, or a frame has no energy, no forces, or
        numbers that are not finite; the message says which frame.
    """
    if not path.is_file():
        msg = f"no trajectory at {path}; set data.path, from the study file's folder"
        raise StructureError(msg)
    items = []
    try:
        for number, frame in enumerate(iread(path, index=":", format="extxyz")):
            if number % every == 0:
                items.append(_labelled(frame, f"frame {number} of {path}"))
    except UNREADABLE as error:
        msg = (
            f"{path} cannot be read after frame {len(items) * every}: {error}; "
            "expected extended XYZ with energies and forces"
        )
        raise StructureError(msg) from error
    return items


def divide_by_time(
    trajectories: Sequence[Sequence[LabelledStructure]], config: EndBlockConfig
) -> Frames:
    """Take the end of each trajectory as the test set, the rest as the pool.

    A pool frame that equals a test frame, or an earlier pool frame, is left out.

    Raises
    ------
    StructureError
        A trajectory is too short to leave anything for the pool.
    """
    before: list[LabelledStructure] = []
    test: list[LabelledStructure] = []
    for number, items in enumerate(trajectories):
        n_test = config.last or max(1, round((config.fraction or 0.0) * len(items)))
        n_pool = len(items) - n_test - config.gap
        if n_pool < 1:
            msg = (
                f"trajectory {number + 1} has {len(items)} frames; a test block of "
                f"{n_test} after a gap of {config.gap} leaves none to train on: lower "
                "test.last or test.gap, or data.every"
            )
            raise StructureError(msg)
        before += items[:n_pool]
        test += items[n_pool + config.gap :]
    judged = {item.key for item in test}
    fresh = [item for item in before if item.key not in judged]
    first = {item.key: number for number, item in reversed(list(enumerate(fresh)))}
    pool = [item for number, item in enumerate(fresh) if first[item.key] == number]
    return Frames(pool, test, len(fresh) - len(pool), len(before) - len(fresh))


def digest_labels(items: Iterable[LabelledStructure]) -> str:
    """Return a hash of structures, energies, forces and stresses, in their order."""
    if isinstance(items, FrameIndex):
        return items.digest
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"|{item.key}{float(item.label.energy)!r}".encode())
        for array in (item.label.forces, item.label.stress):
            if array is not None:
                digest.update(np.asarray(array, "<f8").tobytes())
    return digest.hexdigest()


def _labelled(frame: Atoms, where: str) -> LabelledStructure:
    results = {} if frame.calc is None else frame.calc.results
    if "energy" not in results or "forces" not in results:
        have = ", ".join(sorted(results)) or "neither"
        msg = (
            f"{where} ({frame.get_chemical_formula()}) has {have}; expected the keys "
            "`energy` (eV) in its comment line and `forces` (eV/Å) as a column"
        )
        raise StructureError(msg)
    bare = Atoms(
        frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc
    )
    stress = results.get("stress")
    label = Label(
        float(results["energy"]),
        np.array(results["forces"], dtype=np.float64),
        None if stress is None else np.array(stress, dtype=np.float64),
    )
    parts = [np.ravel(label.energy), label.forces.ravel()]
    parts += [] if label.stress is None else [label.stress.ravel()]
    if not np.isfinite(np.concatenate(parts)).all():
        msg = f"{where} has an energy, force or stress that is not finite; remove it"
        raise StructureError(msg)
    return LabelledStructure(structure_key(bare), bare, label, THEORY)
