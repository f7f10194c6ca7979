"""Put pseudopotentials beside an input: CP2K's GTH ones, or files of this machine."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fire_core.config.environment import PSEUDOPOTENTIALS, pseudopotential_folder
from fire_core.errors import LabellingError
from fire_core.labelling.codes.gth import VALENCE, read_gth, write_hgh
from fire_core.records import FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms


def place_potentials(
    named: str | Mapping[str, str], atoms: Atoms, place: Path
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

    Raises
    ------
    LabellingError
        This machine lacks one, or has another file of that name.
    """
    place.mkdir(exist_ok=True)
    names: dict[str, str] = {}
    for symbol in sorted(set(atoms.symbols)):
        if isinstance(named, str):
            names[symbol] = f"{symbol}.gth"
            write_hgh(read_gth(symbol), place / names[symbol])
        else:
            names[symbol] = _fetch(named[symbol], place)
    return names


def potential_elements(named: str | Mapping[str, str]) -> frozenset[str]:
    """Return the elements of such a choice of pseudopotentials."""
    return frozenset(VALENCE if isinstance(named, str) else named)


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
    found = hashlib.sha256(source.read_bytes()).hexdigest()
    if not digest or not found.startswith(digest):
        msg = (
            f"{source} is another file than the theory names (sha256 {found[:16]}, "
            f"expected {digest or 'a digest'})"
        )
        raise LabellingError(FailureKind.MISSING_POTENTIAL, msg)
    shutil.copyfile(source, place / name)
    return name
