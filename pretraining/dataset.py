"""Gather the teacher's labels and hold out whole compositions."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.io import read, write

from pretraining.chemistry import ELEMENTS

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

logger = logging.getLogger(__name__)

HELDOUT_FRACTION: Final = 0.08


def is_heldout(atoms: Atoms) -> bool:
    """Return whether the reduced formula of a structure belongs to the held-out part.

    Decided by a hash of the formula, so that it never depends on what else is in
    the set.  Elements alone are always trained on.
    """
    if len(set(atoms.numbers)) == 1:
        return False
    formula, _ = atoms.symbols.formula.reduce()
    digest = hashlib.sha256(f"{formula:hill}".encode()).digest()
    return int.from_bytes(digest[:4], "little") / 2**32 < HELDOUT_FRACTION


def gather(labels: Path) -> list[Atoms]:
    """Return every labelled frame, ordered by job."""
    frames: list[Atoms] = []
    for path in sorted(labels.glob("*.extxyz")):
        if path.stat().st_size:
            frames.extend(read(path, index=":"))
    logger.info("%d frames, %d atoms", len(frames), sum(len(f) for f in frames))
    return frames


def fit_reference_energies(
    frames: list[Atoms], ridge: float = 1e-2
) -> dict[int, float]:
    """Return per-element energies (eV) by ridge least squares of total energies.

    Every frame's row is divided by its number of atoms, so that large cells do not
    rule the fit.
    """
    symbols = list(ELEMENTS)
    counts = np.array([[f.symbols.count(s) for s in symbols] for f in frames], float)
    sizes = counts.sum(axis=1, keepdims=True)
    fractions = counts / sizes
    energies = np.array([f.get_potential_energy() for f in frames]) / sizes[:, 0]
    gram = fractions.T @ fractions + ridge * np.eye(len(symbols))
    solution = np.linalg.solve(gram, fractions.T @ energies)
    from ase.data import atomic_numbers

    return {atomic_numbers[s]: float(e) for s, e in zip(symbols, solution, strict=True)}


def write_splits(labels: Path, folder: Path) -> None:
    """Write `train.extxyz`, `heldout.extxyz` and `references.json` (eV by number)."""
    frames = gather(labels)
    folder.mkdir(parents=True, exist_ok=True)
    train = [f for f in frames if not is_heldout(f)]
    heldout = [f for f in frames if is_heldout(f)]
    for name, part in (("train", train), ("heldout", heldout)):
        write(folder / f"{name}.extxyz", part)
        logger.info("%s: %d frames", name, len(part))
    references = fit_reference_energies(train)
    (folder / "references.json").write_text(json.dumps(references, indent=1) + "\n")
