"""Put pseudopotentials beside an input: CP2K's GTH ones, or files of this machine."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ase.data import atomic_numbers, chemical_symbols

from fire_core.config.environment import PSEUDOPOTENTIALS, pseudopotential_folder
from fire_core.errors import ConfigError, LabellingError
from fire_core.labelling.codes.gth import VALENCE, read_gth, write_hgh
from fire_core.labelling.codes.upf import write_upf
from fire_core.records import FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms


HEADER_BYTES: Final = 20_000  # of a UPF file, past its comments
DIGITS: Final = 16
WRITERS: Final = {".gth": write_hgh, ".upf": write_upf}


def place_potentials(
    named: str | Mapping[str, str],
    atoms: Atoms,
    place: Path,
    suffix: str = ".gth",
) -> dict[str, str]:
    """Put the pseudopotentials of the elements into a folder; return their names.

    Parameters
    ----------
    named
        `GTH-PBE`, or for each element `FILE sha256:DIGEST`.
    atoms
        Whose elements are needed.
    place
        The folder; made if need be.
    suffix
        Format of a GTH pseudopotential: `.gth` (ABINIT's 10) or `.upf`.

    Raises
    ------
    LabellingError
        This machine lacks one, or has another file of that name.
    """
    place.mkdir(exist_ok=True)
    names: dict[str, str] = {}
    for symbol in sorted(set(atoms.symbols)):
        if isinstance(named, str):
            names[symbol] = f"{symbol}{suffix}"
            WRITERS[suffix](read_gth(symbol), place / names[symbol])
        else:
            names[symbol] = _fetch(named[symbol], place)
    return names


def potential_elements(named: str | Mapping[str, str]) -> frozenset[str]:
    """Return the elements of such a choice of pseudopotentials."""
    return frozenset(VALENCE if isinstance(named, str) else named)


def name_potentials(folder: Path) -> dict[str, str]:
    """Return `FILE sha256:DIGEST` for each element that has a file in a folder.

    The element is read from a UPF header (both versions) or from the second line of
    ABINIT's formats, where the atomic number stands.

    Raises
    ------
    ConfigError
        There is no pseudopotential, or an element has several.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir() if folder.is_dir() else []):
        symbol = _element_of(path) if path.is_file() else None
        if symbol is not None:
            found.setdefault(symbol, []).append(path)
    several = {s: paths for s, paths in found.items() if len(paths) > 1}
    if several or not found:
        symbol, paths = next(iter(several.items()), ("", []))
        names = ", ".join(path.name for path in paths)
        what = f"expected one pseudopotential (UPF, psp8, GTH) an element in {folder}"
        msg = f"{what}, got {f'{names} for {symbol}' if several else 'none'}"
        raise ConfigError(msg)
    return {
        symbol: f"{path.name} sha256:{_digest(path)[:DIGITS]}"
        for symbol, (path,) in sorted(found.items())
    }


def _element_of(path: Path) -> str | None:
    with path.open("rb") as file:
        text = file.read(HEADER_BYTES).decode("utf-8", errors="replace")
    match = re.search(r'element\s*=\s*"\s*([A-Z][a-z]?)\s*"', text) or re.search(
        r"^\s*([A-Z][a-z]?)\s+Element\s*$", text, re.M
    )
    if match is not None:
        return match.group(1) if match.group(1) in atomic_numbers else None
    number = re.match(r"[^\n]*\n\s*(\d+)(?:\.\d*)?\s[^\n]*(?:zatom|znucl)", text)
    return None if number is None else chemical_symbols[int(number.group(1))]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fetch(entry: str, place: Path) -> str:
    """Copy `FILE sha256:DIGEST` from this machine's folder, if it is that file."""
    name, _, digest = entry.partition(" sha256:")
    root = pseudopotential_folder()
    source = None if root is None else Path(root) / name
    if source is None or not source.is_file():
        msg = (
            f"pseudopotential {name} is not in {root or 'any folder'}: set "
            f"{PSEUDOPOTENTIALS} to the folder that holds it"
        )
        raise LabellingError(FailureKind.MISSING_POTENTIAL, msg)
    found = _digest(source)
    if not digest or not found.startswith(digest):
        msg = (
            f"{source} is another file than the theory names (sha256 {found[:16]}, "
            f"expected {digest or 'a digest'})"
        )
        raise LabellingError(FailureKind.MISSING_POTENTIAL, msg)
    shutil.copyfile(source, place / name)
    return name
