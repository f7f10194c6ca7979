"""Which files hold calculations, and which reader reads them."""

from __future__ import annotations

import gzip
import re
import sqlite3
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from fire_core.errors import StoreError
from fire_core.importing.ase_database import read_ase_database
from fire_core.importing.cp2k import read_cp2k
from fire_core.importing.espresso import read_espresso
from fire_core.importing.extended_xyz import read_extended_xyz
from fire_core.importing.frames import Outcome, judge
from fire_core.importing.outcar import read_outcar
from fire_core.importing.vasprun import read_vasprun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Format(StrEnum):
    """A kind of file that labels are imported from."""

    EXTXYZ = "extxyz"
    VASPRUN = "vasprun"
    OUTCAR = "outcar"
    CP2K = "cp2k"
    ESPRESSO = "espresso"
    ASE_DB = "ase-db"


READERS: Final[dict[Format, Callable[[Path], Iterator[Outcome]]]] = {
    Format.EXTXYZ: read_extended_xyz,
    Format.VASPRUN: read_vasprun,
    Format.OUTCAR: read_outcar,
    Format.CP2K: read_cp2k,
    Format.ESPRESSO: read_espresso,
    Format.ASE_DB: read_ase_database,
}
CONTENT: Final = (
    (Format.ASE_DB, rb"\ASQLite format 3\0(?s:.)*CREATE TABLE systems"),
    (Format.ASE_DB, rb'\A\{"1": \{\s*"(?:calculator|cell|ctime)'),
    (Format.VASPRUN, rb"<modeling>"),
    (Format.OUTCAR, rb"\A *vasp\.\d"),
    (Format.ESPRESSO, rb"Program PWSCF v"),
    (Format.CP2K, rb"CP2K\| version string"),
    (Format.EXTXYZ, rb"\A\s*\d+ *\r?\n.*Properties="),
)
HEAD: Final = 32_768  # bytes; CP2K may print settings of its libraries before its name
BROKEN: Final = (
    ValueError, KeyError, IndexError, AssertionError, OSError, SyntaxError, TypeError,
    AttributeError, EOFError, RuntimeError, sqlite3.Error,
)  # fmt: skip
"""What readers raise on a file that is not what it seems."""


def recognise(path: Path, *, by_name: bool = True) -> Format | None:
    """Return the format of a file, by its beginning; None: none of ours.

    Parameters
    ----------
    path
        The file.
    by_name
        Whether `.xyz` and `.extxyz` say enough.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    if head[:2] == b"\x1f\x8b":
        with gzip.open(path) as stream:
            head = stream.read(HEAD)
        return Format.VASPRUN if b"<modeling>" in head else None
    for found, pattern in CONTENT:
        if re.search(pattern, head):
            return found
    if by_name and path.suffix in {".xyz", ".extxyz"}:
        return Format.EXTXYZ
    return None


def read_calculations(path: Path, kind: Format) -> Iterator[Outcome]:
    """Yield every frame of a file, sound or refused with its reason.

    Raises
    ------
    StoreError
        The file is not of this format, or is broken beyond its frames.
    """
    from ase.io.vasp_parsers.vasp_outcar_parsers import ParseError

    try:
        for outcome in READERS[kind](path):
            yield judge(outcome)
    except (*BROKEN, ParseError) as error:
        msg = (
            f"{path} cannot be read as {kind}: {type(error).__name__}: {error}; "
            f"if it is another format, say which with --format ({', '.join(Format)})"
        )
        raise StoreError(msg) from error
