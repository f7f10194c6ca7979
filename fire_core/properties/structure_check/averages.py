"""Averages of correlated series, their errors from blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fire_core.errors import PropertyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Average:
    """A mean and its standard error; `n_blocks` independent parts gave it."""

    mean: float
    error: float
    n_blocks: int


def average_in_blocks(runs: Sequence[Array], n_blocks: int) -> Average:
    """Return the mean of series and the standard error of it from means of blocks.

    Each series is cut into blocks of equal length, what is left over at its beginning
    is not used; blocks count as independent, which they are where they are several
    correlation times long (H. Flyvbjerg and H. G. Petersen, J. Chem. Phys. 91, 461
    (1989)).

    Parameters
    ----------
    runs
        Independent series, (n,) each.
    n_blocks
        Of each.

    Raises
    ------
    PropertyError
        A series is shorter than its blocks.
    """
    means = []
    for run in runs:
        size = len(run) // n_blocks
        if size == 0:
            msg = f"{len(run)} frames cannot be cut into {n_blocks} blocks; run longer"
            raise PropertyError(msg)
        means.append(run[len(run) - size * n_blocks :].reshape(n_blocks, size).mean(1))
    blocks = np.concatenate(means)
    error = float(blocks.std(ddof=1) / np.sqrt(len(blocks)))
    return Average(float(blocks.mean()), error, len(blocks))
