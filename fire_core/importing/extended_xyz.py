"""Extended XYZ with energies and forces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.importing.frames import (
    CalculatedFrame,
    Outcome,
    RefusedFrame,
    find_unfit,
)
from fire_core.records import Problem
from fire_core.structures.extxyz import iter_frame_texts, read_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_extended_xyz(path: Path) -> Iterator[Outcome]:
    """Yield every frame; `theory=` in a comment line names its fingerprint."""
    for number, text in enumerate(iter_frame_texts(path)):
        outcome = read_frame(text, "", find_unfit)
        if isinstance(outcome, Problem):
            yield RefusedFrame(number, outcome)
        else:
            item = outcome.item
            yield CalculatedFrame(number, item.atoms, item.label, item.theory or None)
