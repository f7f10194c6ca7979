"""Bulk writing and reading of labelled frames: the store, ase.db and extxyz.

``python -m benchmarks.store [--frames N] [--turns N] [--quick]``. Jittered crystals of
64 to 216 atoms (124 on average) with energies, forces and stresses. Each way writes
them in blocks of 1,000 and reads all of them back as Atoms with forces, in turns in the
same run; the best turn of each counts. ase.db is read in the faster of its two ways,
all rows at once. PostgreSQL is reported where its programs are found.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase.io
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from benchmarks.postgres import Postgres, missing_programs
from benchmarks.scale_fill import BLOCK
from benchmarks.scale_peers import Rate, make_set, rate_store
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from fire_core.records import Label

    Data = tuple[list[Atoms], list[Label]]


def with_calculators(data: Data) -> list[Atoms]:
    """Return copies that carry their labels as ASE's files want them."""
    frames = []
    for atoms, label in zip(*data, strict=True):
        copy = atoms.copy()
        copy.calc = SinglePointCalculator(
            copy, energy=label.energy, forces=label.forces, stress=label.stress
        )
        frames.append(copy)
    return frames


def rate_ase(folder: Path, data: Data) -> Rate:
    """Write an ase.db file, a transaction for each block; read all of its rows."""
    frames = with_calculators(data)
    path = folder / "ase.db"
    database = connect(path)
    start = time.perf_counter()
    for i in range(0, len(frames), BLOCK):
        with database:
            for atoms in frames[i : i + BLOCK]:
                database.write(atoms)
    written = time.perf_counter() - start
    start = time.perf_counter()
    read = [row.toatoms() for row in database.select()]
    total = sum(float(atoms.get_forces()[0, 0]) for atoms in read)
    took = time.perf_counter() - start
    _check(total, data, len(read))
    n = len(frames)
    return Rate("ase.db, SQLite", n / written, n / took, path.stat().st_size / n)


def rate_extxyz(folder: Path, data: Data) -> Rate:
    """Write one extxyz file and read it."""
    frames = with_calculators(data)
    path = folder / "frames.extxyz"
    start = time.perf_counter()
    for i in range(0, len(frames), BLOCK):
        ase.io.write(path, frames[i : i + BLOCK], format="extxyz", append=True)
    written = time.perf_counter() - start
    start = time.perf_counter()
    read = ase.io.read(path, index=":", format="extxyz")
    total = sum(float(atoms.get_forces()[0, 0]) for atoms in read)
    took = time.perf_counter() - start
    _check(total, data, len(read), rounding=1e-5)
    n = len(frames)
    return Rate("extxyz", n / written, n / took, path.stat().st_size / n)


def rate_sqlite(folder: Path, data: Data) -> Rate:
    """Write and read with an empty SQLite store, its commits flushed to the disk."""
    path = folder / "fire.db"
    with Store.open(f"sqlite:///{path}", folder / "blobs") as store:
        rate = rate_store("FIRE, SQLite", store, data)
    each = path.stat().st_size / len(data[0])
    return Rate(rate.name, rate.written_per_s, rate.read_per_s, each)


def rate_postgres(server: Postgres, number: int, data: Data, folder: Path) -> Rate:
    """Write and read with an empty PostgreSQL store."""
    with Store.open(server.create(f"bench_{number}"), folder / "blobs") as store:
        return rate_store("FIRE, PostgreSQL", store, data)


def _check(total: float, data: Data, count: int, rounding: float = 1e-9) -> None:
    """Refuse a way that lost a frame or its forces."""
    expected = sum(float(label.forces[0, 0]) for label in data[1])
    assert count == len(data[0])
    assert abs(total - expected) <= rounding * count


def measure(data: Data, turns: int) -> list[Rate]:
    """Take turns; return the best rates of each way."""
    ways: list[Callable[[int, Path], Rate]] = [
        lambda _, folder: rate_sqlite(folder, data),
        lambda _, folder: rate_ase(folder, data),
        lambda _, folder: rate_extxyz(folder, data),
    ]
    absent = missing_programs()
    if absent is not None:
        print(f"PostgreSQL left out: {absent}")
        return _take_turns(ways, turns)
    with Postgres() as server:
        ways.append(lambda turn, folder: rate_postgres(server, turn, data, folder))
        return _take_turns(ways, turns)


def _take_turns(ways: list[Callable[[int, Path], Rate]], turns: int) -> list[Rate]:
    best: dict[str, Rate] = {}
    for turn in range(turns):
        for way in ways:
            with tempfile.TemporaryDirectory(prefix="fire-store-") as folder:
                rate = way(turn, Path(folder))
            before = best.get(rate.name, rate)
            best[rate.name] = Rate(
                rate.name,
                max(rate.written_per_s, before.written_per_s),
                max(rate.read_per_s, before.read_per_s),
                rate.bytes_each,
            )
    return list(best.values())


def summarise(rates: list[Rate]) -> dict[str, Any]:
    """Return the ratios to ase.db, those of SQLite on top."""
    by_name = {rate.name: rate for rate in rates}
    ase_db, ours = by_name["ase.db, SQLite"], by_name["FIRE, SQLite"]
    return {
        "write_ratio": ours.written_per_s / ase_db.written_per_s,
        "read_ratio": ours.read_per_s / ase_db.read_per_s,
        "rates": [asdict(rate) for rate in rates],
    }


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.store", description=__doc__)
    parser.add_argument("--frames", type=int, default=5_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    arguments = parser.parse_args()
    frames, turns = (300, 1) if arguments.quick else (arguments.frames, arguments.turns)
    data = make_set(frames)
    rates = measure(data, turns)
    result = summarise(rates)
    ase_db = next(rate for rate in rates if rate.name == "ase.db, SQLite")
    for rate in rates:
        size = "" if rate.bytes_each is None else f"{rate.bytes_each / 1000:6.1f} kB"
        written = rate.written_per_s / ase_db.written_per_s
        read = rate.read_per_s / ase_db.read_per_s
        print(
            f"{rate.name:18s} written/s {rate.written_per_s:7.0f} ({written:5.2f} × "
            f"ase.db)  read/s {rate.read_per_s:7.0f} ({read:5.2f})  {size}"
        )
    print(json.dumps({"frames": frames, **result}))


if __name__ == "__main__":
    main()
