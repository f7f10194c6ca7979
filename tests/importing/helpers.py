"""Reading a file, split into what was taken and what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.importing.formats import Format, read_calculations, recognise
from fire_core.importing.frames import CalculatedFrame, RefusedFrame

if TYPE_CHECKING:
    from pathlib import Path

CONSTANTS = 1e-7
"""Relative; CODATA of 2006, 2014 and 2018 differ by less in hartree and bohr."""


def read(path: Path, kind: Format | None = None) -> list[CalculatedFrame]:
    """Return the frames of a file, none of which is refused."""
    taken, refused = split(path, kind)
    assert refused == {}
    return taken


def split(
    path: Path, kind: Format | None = None
) -> tuple[list[CalculatedFrame], dict[int, str]]:
    """Return frames, and the kind of problem of each refused frame."""
    found = kind or recognise(path)
    assert found is not None
    outcomes = list(read_calculations(path, found))
    taken = [o for o in outcomes if isinstance(o, CalculatedFrame)]
    refused = {
        o.number: o.problem.kind for o in outcomes if isinstance(o, RefusedFrame)
    }
    assert len(taken) + len(refused) == len(outcomes)
    return taken, refused
