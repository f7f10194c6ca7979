"""Memory that growing structures take, so that one which will not fit is not tried."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

FULL: Final = 0.85
"""Part of a machine's memory that a measurement may take."""
SMALLEST: Final = 64 * 2**20
"""Bytes; a growth below it says nothing of the next size."""
STATUS: Final = Path("/proc/self/status")
CLEAR: Final = Path("/proc/self/clear_refs")
RESET_PEAK: Final = "5"


class MemoryTrend:
    """Peaks of this process at growing sizes, and what the next size will take.

    Where the system does not tell peaks (no /proc) everything is taken to fit.

    Parameters
    ----------
    limit
        Bytes; None: `FULL` of the machine's memory.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = FULL * _physical() if limit is None else limit
        self.begin()
        self.base = _current_peak()
        self.points: list[tuple[int, float]] = []

    def begin(self) -> None:
        """Forget the peak of what ran before."""
        try:
            CLEAR.write_text(RESET_PEAK, encoding="ascii")
        except OSError:
            return

    def note(self, n_atoms: int) -> None:
        """Keep the peak of a size that has just run."""
        grown = _current_peak() - self.base
        if grown > SMALLEST:
            self.points.append((n_atoms, grown))

    def expect(self, n_atoms: int) -> float:
        """Return the peak that a size will have, bytes.

        In proportion to the atoms; where two sizes are known, by the power that leads
        through the last two, at least 1 and at most 2.
        """
        if not self.points:
            return self.base
        n, grown = self.points[-1]
        power = 1.0
        if len(self.points) > 1:
            before, less = self.points[-2]
            power = math.log(grown / less) / math.log(n / before)
        growth = (n_atoms / n) ** min(max(power, 1.0), 2.0)
        return float(self.base + grown * growth)

    def will_fit(self, n_atoms: int) -> bool:
        """Return whether a size will stay below the limit."""
        return self.expect(n_atoms) < self.limit


def _current_peak() -> float:
    """Return the largest resident size since the peak was forgotten, bytes."""
    try:
        text = STATUS.read_text(encoding="ascii")
    except OSError:
        return 0.0
    for line in text.splitlines():
        if line.startswith("VmHWM:"):
            return 1024.0 * int(line.split()[1])
    return 0.0


def _physical() -> float:
    return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
