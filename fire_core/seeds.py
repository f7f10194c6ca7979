"""Seeds of the steps, and what is divided by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.records import Split

if TYPE_CHECKING:
    from collections.abc import Sequence


def derive_seed(seed: int, *path: str | int) -> int:
    """Return the seed of one step, derived from that of the whole.

    Every step asks with its own name and round, so that no two share a stream.
    """
    words = [ord(c) for part in path for c in f"{part}/"]
    sequence = np.random.SeedSequence([seed, *words])
    return int(sequence.generate_state(1, np.uint32)[0] >> 1)


def split_keys(keys: Sequence[str], fraction: float, seed: int) -> dict[str, Split]:
    """Divide structures into training and validation, the same way each time.

    Parameters
    ----------
    keys
        Content keys; their order does not matter.
    fraction
        Part for validation; at least one structure when it is above zero and two
        structures exist.
    seed
        Source of the permutation.
    """
    ordered = sorted(set(keys))
    n_valid = round(fraction * len(ordered))
    if fraction > 0 and len(ordered) > 1:
        n_valid = min(max(n_valid, 1), len(ordered) - 1)
    chosen = np.random.default_rng(seed).permutation(len(ordered))[:n_valid]
    valid = {ordered[int(i)] for i in chosen}
    return {key: Split.VALID if key in valid else Split.TRAIN for key in ordered}
