"""Report when candidates differ from all that was learnt, by PCA's Q-residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FALSE_ALARMS: Final = 0.005
"""Chance of an alarm where candidates and learnt structures are alike."""
FEWEST: Final = 10
"""Learnt structures below which nothing is said."""


@dataclass(frozen=True, slots=True)
class QAlarm:
    """Candidates beyond everything learnt.

    Attributes
    ----------
    limit
        Largest Q-residual of a learnt structure.
    share
        Fraction of the candidates beyond it.
    expected
        That fraction, on average, where candidates are like the learnt structures.
    rings
        Whether it is more than chance allows.
    worst
        Position of the candidate farthest from the kept subspace.
    """

    limit: float
    share: float
    expected: float
    rings: bool
    worst: int


def judge_q_residuals(
    candidates: NDArray[np.float64], learnt: NDArray[np.float64]
) -> QAlarm | None:
    """Compare the Q-residuals of candidates with those of what was learnt.

    Both are distances to one subspace, which was fitted to the candidates: a structure
    off it has something that the principal components do not show. Of L learnt
    structures like the candidates, the largest Q is exceeded by a share s of many
    candidates with probability (1 - s)^L, whatever the distribution; the alarm rings
    where that is below `FALSE_ALARMS`.

    Parameters
    ----------
    candidates, learnt
        (m,) and (L,), Q-residuals (`PcaMap.q_residual`).

    Returns
    -------
    QAlarm | None
        None where fewer than `FEWEST` structures were learnt.
    """
    if len(learnt) < FEWEST or not len(candidates):
        return None
    limit = float(learnt.max())
    share = float(np.mean(candidates > limit))
    return QAlarm(
        limit=limit,
        share=share,
        expected=1 / (len(learnt) + 1),
        rings=(1 - share) ** len(learnt) < FALSE_ALARMS,
        worst=int(np.argmax(candidates)),
    )
