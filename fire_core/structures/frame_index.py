"""Labelled frames in an indexed file: opened in seconds and read one by one.

A replay set may have millions of frames, of which a training draws thousands. LMDB
keeps them as they are read; what decides which may be drawn (elements, composition,
number of atoms) stands beside them in one array each and is all that memory holds.
"""

from __future__ import annotations

import functools
import hashlib
import os
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from fire_core.errors import StructureError
from fire_core.records import Label, LabelledStructure
from fire_core.structures.content import structure_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIX: Final = ".lmdb"
FORMAT: Final = b"fire-frames-1"
MAP_BYTES: Final = 2**40  # address space, not memory nor disk
BATCH: Final = 2000  # frames of one transaction
NUMBER: Final = struct.Struct(">Q")
HEAD: Final = struct.Struct("<IBBd")  # atoms, periodic directions, stress?, energy


class FrameIndex(Sequence[LabelledStructure]):
    """The labelled frames of an indexed file, or some of them.

    Attributes
    ----------
    path
        The file.
    numbers
        Which of its frames these are, (n,).
    theory
        Theory level of the labels, as the builder of the file named it.
    n_atoms
        Of each frame, (n,).

    Raises
    ------
    StructureError
        There is no such file, or it is something else, or was not written to its end.
    """

    def __init__(self, path: Path, numbers: NDArray[np.int64] | None = None) -> None:
        self.path = path.resolve()
        with self._begin() as read:
            if read.get(b"format") != FORMAT:
                msg = (
                    f"{path} is no index of frames that FIRE has written to its end; "
                    "expected the result of `fire replay index FILE.extxyz`"
                )
                raise StructureError(msg)
            self.theory = bytes(read.get(b"theory")).decode()
            self._content = bytes(read.get(b"sha256")).decode()
            self._masks = np.frombuffer(read.get(b"elements"), "<u8").reshape(-1, 2)
            self._sizes = np.frombuffer(read.get(b"atoms"), "<u4")
            self._places = np.frombuffer(read.get(b"formulas"), "<f8")
        every = np.arange(len(self._sizes))
        self.numbers = every if numbers is None else np.asarray(numbers, np.int64)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, which: int) -> LabelledStructure: ...
    @overload
    def __getitem__(self, which: slice) -> FrameIndex: ...
    def __getitem__(self, which: int | slice) -> LabelledStructure | FrameIndex:
        if isinstance(which, slice):
            return self.take(np.arange(len(self))[which])
        number = int(self.numbers[which])
        with self._begin() as read:
            return _decode(read.get(NUMBER.pack(number)), self.theory)

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> FrameIndex:
        """Return some of the frames, by position or by a mask; nothing is read."""
        part = object.__new__(FrameIndex)
        part.__dict__.update(self.__dict__, numbers=self.numbers[which])
        return part

    @property
    def n_atoms(self) -> NDArray[np.int64]:
        """Number of atoms of each frame, (n,)."""
        return self._sizes[self.numbers].astype(np.int64)

    def n_atoms_of(self, which: int) -> int:
        """Return the number of atoms of one frame; nothing is read."""
        return int(self._sizes[self.numbers[which]])

    @property
    def places(self) -> NDArray[np.float64]:
        """Where the hash of each frame's reduced formula lies, (n,), 0 to 1."""
        return self._places[self.numbers]

    @property
    def elements(self) -> frozenset[str]:
        """Every element of the frames."""
        found = np.bitwise_or.reduce(self._masks[self.numbers], axis=0)
        bits = int(found[0]) | int(found[1]) << 64
        return frozenset(s for z, s in enumerate(chemical_symbols) if bits >> z & 1)

    def holding(self, symbols: Collection[str]) -> NDArray[np.bool_]:
        """Return which frames hold one of the elements at least, (n,)."""
        found: NDArray[np.bool_] = (
            (self._masks[self.numbers] & element_mask(symbols)) != 0
        ).any(axis=1)
        return found

    def within(self, symbols: Collection[str]) -> NDArray[np.bool_]:
        """Return which frames hold no other elements, (n,)."""
        others = ~element_mask(symbols)
        found: NDArray[np.bool_] = ((self._masks[self.numbers] & others) == 0).all(
            axis=1
        )
        return found

    @property
    def digest(self) -> str:
        """sha256 of the content of these frames, from that of the whole file."""
        text = hashlib.sha256(f"{self._content}|{self.theory}|".encode())
        text.update(np.ascontiguousarray(self.numbers, "<i8").tobytes())
        return text.hexdigest()

    def _begin(self) -> Any:
        return _opened(self.path, _identify(self.path)).begin()


def _identify(path: Path) -> tuple[int, int]:
    if not path.is_file():
        msg = f"there is no file {path}"
        raise StructureError(msg)
    facts = path.stat()
    return facts.st_ino, facts.st_mtime_ns


@functools.cache
def _opened(path: Path, _identity: tuple[int, int]) -> Any:
    """Return the environment of a file: LMDB wants no more than one in a process."""
    import lmdb

    try:
        return lmdb.open(
            str(path), subdir=False, readonly=True, lock=False, readahead=False
        )
    except lmdb.Error as error:
        msg = f"{path} is no index of frames, or was written anew meanwhile: {error}"
        raise StructureError(msg) from error


def build_index(
    items: Iterable[LabelledStructure], path: Path, *, theory: str
) -> FrameIndex:
    """Write frames as they come into an indexed file; return it opened.

    The file takes its name when it is whole. Memory holds some thousand frames, and 32
    bytes of each one that is written.

    Raises
    ------
    StructureError
        There is no frame, or a number of one is not finite; it is named.
    """
    import lmdb

    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    content = hashlib.sha256()
    masks, sizes, places = [], [], []
    env = lmdb.open(
        str(partial), subdir=False, map_size=MAP_BYTES, sync=False, lock=False
    )
    write = env.begin(write=True)
    try:
        for number, item in enumerate(items):
            data = _encode(item, number)
            content.update(data)
            write.put(NUMBER.pack(number), data)
            masks.append(element_mask(set(item.atoms.get_chemical_symbols())))
            sizes.append(len(item.atoms))
            places.append(formula_place(item.atoms))
            if number % BATCH == BATCH - 1:
                write.commit()
                write = env.begin(write=True)
        _refuse_empty(sizes, theory, path)
        write.put(b"theory", theory.encode())
        write.put(b"sha256", content.hexdigest().encode())
        write.put(b"elements", np.array(masks, "<u8").tobytes())
        write.put(b"atoms", np.array(sizes, "<u4").tobytes())
        write.put(b"formulas", np.array(places, "<f8").tobytes())
        write.put(b"format", FORMAT)
        write.commit()
        env.sync(True)
        env.close()
        partial.replace(path)
    except BaseException:
        env.close()
        partial.unlink(missing_ok=True)
        raise
    return FrameIndex(path)


def _refuse_empty(sizes: list[int], theory: str, path: Path) -> None:
    if not sizes:
        msg = f"{theory} holds no frame to write into {path}"
        raise StructureError(msg)


def element_mask(symbols: Collection[str]) -> NDArray[np.uint64]:
    """Return a bit for each element, (2,): bit Z of 128."""
    bits = 0
    for z, symbol in enumerate(chemical_symbols):
        bits |= (symbol in symbols) << z
    return np.array([bits & 2**64 - 1, bits >> 64], np.uint64)


def formula_place(atoms: Atoms) -> float:
    """Return where the hash of a reduced formula lies between 0 and 1."""
    formula, _ = atoms.symbols.formula.reduce()
    digest = hashlib.sha256(f"{formula:hill}".encode()).digest()
    return int.from_bytes(digest[:4], "little") / 2**32


def _encode(item: LabelledStructure, number: int) -> bytes:
    atoms, label = item.atoms, item.label
    values = [atoms.positions, label.forces, atoms.cell.array]
    if label.stress is not None:
        values.append(label.stress)
    if not all(np.isfinite(v).all() for v in (label.energy, *values)):
        msg = (
            f"frame {number} ({atoms.get_chemical_formula()}) has a position, energy, "
            "force or stress that is not a number; leave it out"
        )
        raise StructureError(msg)
    periodic = sum(bool(p) << i for i, p in enumerate(atoms.pbc))
    head = HEAD.pack(len(atoms), periodic, label.stress is not None, label.energy)
    numbers = np.asarray(atoms.numbers, "u1").tobytes()
    return b"".join(
        [head, numbers, *(np.ascontiguousarray(v, "<f8").tobytes() for v in values)]
    )


def _decode(data: bytes, theory: str) -> LabelledStructure:
    n, periodic, has_stress, energy = HEAD.unpack_from(data)
    start = HEAD.size + n
    numbers = np.frombuffer(data, "u1", n, HEAD.size).astype(np.int64)
    values = np.frombuffer(data[start:], "<f8")
    positions, forces = values[: 6 * n].reshape(2, n, 3)
    cell = values[6 * n : 6 * n + 9].reshape(3, 3)
    stress = values[6 * n + 9 :].copy() if has_stress else None
    pbc = [bool(periodic >> i & 1) for i in range(3)]
    atoms = Atoms(numbers, positions=positions, cell=cell, pbc=pbc)
    label = Label(energy, forces.copy(), stress)
    return LabelledStructure(structure_key(atoms), atoms, label, theory)
