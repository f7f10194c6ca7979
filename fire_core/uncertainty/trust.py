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
    CANDIDATE = "candidate"
    BEYOND = "beyond"


@dataclass(frozen=True, slots=True)
class TrustBand:
    """Calibrated uncertainties, eV/Å, between which a label is worth its cost.

    Below `low` the model knows the structure; above `high` it has left physics, and a
    label of what it made would teach little or fail.
    """

    low: float
    high: float

    def judge(self, worst: NDArray[np.float64]) -> NDArray[np.str_]:
        """Say for each candidate, (n,), by its worst atom, what it is."""
        inside = np.where(worst > self.high, Trust.BEYOND, Trust.CANDIDATE)
        return np.asarray(np.where(worst < self.low, Trust.TRUSTED, inside), np.str_)


def adapt_band(known: NDArray[np.float64], config: TrustConfig) -> TrustBand:
    """Set the band by what the model says of labelled structures it did not learn.

    The lower level is the `config.known` quantile of their worst atoms' uncertainty:
    what is no more uncertain than known ground is trusted. It falls as the model
    learns, down to `config.target`, below which nobody wants a label. The upper level
    is `config.high`, and at least twice the lower one.

    Parameters
    ----------
    known
        (n,), calibrated uncertainty of each structure's worst atom, eV/Å; n may be 0.
    config
        Target, quantile and upper level, meV/Å.
    """
    low = config.target / 1e3
    if len(known):
        low = max(low, float(np.quantile(known, config.known)))
    return TrustBand(low, max(config.high / 1e3, 2 * low))


def choose_pool(
    kinds: NDArray[np.str_], n: int, verify: int, seed: int
) -> NDArray[np.int64]:
    """Return the indices that labels are chosen from; at most `n` of them are bought.

    They are all that are worth a label; where those are fewer than `verify`, trusted
    ones, drawn at random, make up for the rest. `n` below `verify` holds.

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
