"""Find the files of finished calculations: files, patterns and folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fire_core.errors import StoreError
from fire_core.importing.formats import Format, recognise

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found.

    Attributes
    ----------
    files
        Files with their formats, in order, each once.
    same
        OUTCARs left out, since a vasprun.xml beside them holds the same with more
        digits.
    others
        Number of files in folders that are no calculations.
    """

    files: dict[Path, Format]
    same: list[Path]
    others: int


def find_calculations(names: Sequence[str], forced: Format | None = None) -> Search:
    """Return the calculations that files, patterns and folders name.

    Parameters
    ----------
    names
        A file, a pattern such as `runs/**/vasprun.xml`, or a folder, which is searched
        to its bottom.
    forced
        Format of all files; None: each is recognised.

    Raises
    ------
    StoreError
        A name stands for nothing, or a file is of no known format.
    """
    files: dict[Path, Format] = {}
    others = 0
    for name in names:
        for path in _expand(name):
            if path.is_dir():
                found = _search_folder(path)
                others += sum(kind is None for kind in found.values())
                files |= {p: forced or k for p, k in found.items() if k is not None}
            else:
                files[path] = forced or _recognise_file(path)
    kept = set(files) - (same := _doubled(files))
    if not kept:
        msg = f"no calculation in {', '.join(names)}; known are {', '.join(Format)}"
        raise StoreError(msg)
    return Search({p: k for p, k in files.items() if p in kept}, sorted(same), others)


def _expand(name: str) -> list[Path]:
    path = Path(name)
    if path.exists():
        return [path]
    if any(sign in name for sign in "*?["):
        root = Path(path.anchor)
        found = sorted(root.glob(str(path.relative_to(path.anchor))))
        if found:
            return found
    msg = f"no file at {name}"
    raise StoreError(msg)


def _search_folder(folder: Path) -> dict[Path, Format | None]:
    return {
        path: recognise(path, by_name=False)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def _recognise_file(path: Path) -> Format:
    kind = recognise(path)
    if kind is None:
        msg = (
            f"{path} is none of the formats that are known by their content; say which "
            f"it is with --format ({', '.join(Format)})"
        )
        raise StoreError(msg)
    return kind


def _doubled(files: dict[Path, Format]) -> set[Path]:
    """Return the OUTCARs of runs whose vasprun.xml is there, too."""
    runs = {path.parent for path, kind in files.items() if kind is Format.VASPRUN}
    return {
        path
        for path, kind in files.items()
        if kind is Format.OUTCAR and path.parent in runs
    }
