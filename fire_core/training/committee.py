"""Members of a committee: one seed and one part of the training data each."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def choose_subset(
    items: Sequence[T], fraction: float, *, seed: int, member: int
) -> list[T]:
    """Return the part of the data that one member learns from, in the given order.

    Drawn without replacement, differently for each member, the same each time
    (subsampling after Politis and Romano 1994; members that saw different data
    disagree where data are missing).

    Parameters
    ----------
    items
        Training data of the whole committee.
    fraction
        Part of it, at least one item.
    seed
        Seed of the committee.
    member
        Number of the member.
    """
    n = max(1, round(fraction * len(items)))
    rng = np.random.default_rng([seed, member])
    chosen = np.sort(rng.permutation(len(items))[:n])
    return [items[int(i)] for i in chosen]
