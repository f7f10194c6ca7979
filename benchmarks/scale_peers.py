"""ASE's own database beside the store: the same labelled structures in and out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from benchmarks.scale_fill import BLOCK, THEORIES, make_frames, make_label
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from fire_core.records import Label

FIRST = 50_000_000  # number of a structure that the rehearsal never reaches


@dataclass(frozen=True, slots=True)
class Rate:
    """Labelled structures per second; `bytes_each` on disk, None where not told."""

    name: str
    written_per_s: float
    read_per_s: float
    bytes_each: float | None


def make_set(n: int) -> tuple[list[Atoms], list[Label]]:
    """Return structures with labels that the rehearsal did not use."""
    return make_frames(FIRST, FIRST + n), [make_label(FIRST + i) for i in range(n)]


def rate_store(name: str, store: Store, data: tuple[list[Atoms], list[Label]]) -> Rate:
    """Write structures and labels in blocks, and read them back in another order."""
    frames, labels = data
    store.theories.add(THEORIES[0], "rehearsal", "1", "{}")
    keys: list[str] = []
    start = time.perf_counter()
    for i in range(0, len(frames), BLOCK):
        some = store.structures.add(frames[i : i + BLOCK], source="peers")
        pairs = dict(zip(some, labels[i : i + BLOCK], strict=True))
        store.labels.add(pairs, THEORIES[0])
        keys += some
    written = time.perf_counter() - start
    order = np.random.default_rng(0).permutation(len(keys))
    start = time.perf_counter()
    for i in range(0, len(keys), BLOCK):
        part = [keys[j] for j in order[i : i + BLOCK]]
        assert len(store.labels.labelled(part, THEORIES[0])) == len(part)
    read = time.perf_counter() - start
    return Rate(name, len(keys) / written, len(keys) / read, None)


def rate_sqlite(folder: Path, data: tuple[list[Atoms], list[Label]]) -> Rate:
    """Do the same with an empty SQLite store."""
    path = folder / "peer-fire.db"
    with Store.open(f"sqlite:///{path}", folder / "blobs") as store:
        rate = rate_store("FIRE, SQLite, empty", store, data)
    each = path.stat().st_size / len(data[0])
    return Rate(rate.name, rate.written_per_s, rate.read_per_s, each)


def rate_ase(folder: Path, data: tuple[list[Atoms], list[Label]]) -> Rate:
    """Do the same with an empty ase.db file, a transaction for each block."""
    path = folder / "peer-ase.db"
    frames, labels = data
    database = connect(path)
    ids: list[int] = []
    start = time.perf_counter()
    for i in range(0, len(frames), BLOCK):
        with database:
            pairs = zip(frames[i : i + BLOCK], labels[i : i + BLOCK], strict=True)
            for atoms, label in pairs:
                atoms.calc = SinglePointCalculator(
                    atoms, energy=label.energy, forces=label.forces, stress=label.stress
                )
                ids.append(database.write(atoms))
                atoms.calc = None
    written = time.perf_counter() - start
    order = np.random.default_rng(0).permutation(len(ids))
    start = time.perf_counter()
    for i in range(0, len(ids), BLOCK):
        with database:
            for j in order[i : i + BLOCK]:
                database.get_atoms(ids[j]).get_forces()
    read = time.perf_counter() - start
    each = path.stat().st_size / len(ids)
    return Rate("ase.db, SQLite, empty", len(ids) / written, len(ids) / read, each)
