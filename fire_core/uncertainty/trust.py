"""Which candidates are known already, worth a label, or beyond the model's reach."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.config.uncertainty import TrustConfig


class Trust(StrEnum):
    """Where a candidate's uncertainty lies."""

    TRUSTED = "trusted"
    WAITING = "waiting"
    CANDIDATE = "candidate"
    BEYOND = "beyond"


@dataclass(frozen=True, slots=True)
class TrustBand:
    """Calibrated uncertainties, eV/Å, that part candidates.

    Below `target` the model is as good as is wanted. From there to `low` a candidate
    waits, as others are more uncertain; from `low` to `high` it is worth a label now.
    Above `high` the model has left physics, and a label of what it made would teach
    little or fail.
    """

    target: float
    low: float
    high: float

    def judge(self, worst: NDArray[np.float64]) -> NDArray[np.str_]:
        """Return the class of each candidate, (n,), by its worst atom."""
        kinds = np.where(worst > self.high, Trust.BEYOND, Trust.CANDIDATE)
        kinds = np.where(worst < self.low, Trust.WAITING, kinds)
        return np.asarray(np.where(worst < self.target, Trust.TRUSTED, kinds), np.str_)


def adapt_band(
    worst: NDArray[np.float64], config: TrustConfig, least: int
) -> TrustBand:
    """Set the lower level so that labels go where the model knows least.

    Of the candidates between target and upper level, the most uncertain `config.focus`
    part is worth a label, and at least `least` of them: the level follows the model
    down as it learns, until nothing is above the target.

    Parameters
    ----------
    worst
        (n,), calibrated uncertainty of each candidate's worst atom, eV/Å.
    config
        Target and upper level, meV/Å; focus.
    least
        Labels of a round.
    """
    target, high = config.target / 1e3, config.high / 1e3
    between = np.sort(worst[(worst >= target) & (worst <= high)])[::-1]
    kept = max(int(np.ceil(config.focus * len(between))), least)
    low = target if kept >= len(between) else float(between[kept - 1])
    return TrustBand(target, low, high)


def choose_pool(
    kinds: NDArray[np.str_], n: int, verify: int, seed: int
) -> NDArray[np.int64]:
    """Return the indices that labels are chosen from; at most `n` of them are bought.

    They are all that are worth a label; where those are fewer than `verify`, trusted
    ones, drawn at random, make up for the rest: they test the uncertainty where it
    claims to know. `n` below `verify` holds.

    Parameters
    ----------
    kinds
        (m,), what the band calls each candidate.
    n
        Labels of a round.
    verify
        Fewest labels of a round.
    seed
        Of the draw.
    """
    worth = np.flatnonzero(kinds == Trust.CANDIDATE)
    missing = min(verify, n) - len(worth)
    if missing <= 0:
        return worth
    trusted = np.flatnonzero(kinds == Trust.TRUSTED)
    drawn = np.random.default_rng(seed).permutation(trusted)[:missing]
    return np.sort(np.concatenate([worth, drawn]))
