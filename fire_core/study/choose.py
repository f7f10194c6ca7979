"""Choose what a cell trains on: the frames, and which of them validate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.config.steps import SelectConfig
from fire_core.records import Split
from fire_core.seeds import derive_seed, split_keys
from fire_core.selection.descriptors import soap_features
from fire_core.selection.reduce import fit_pca
from fire_core.selection.selectors import select
from fire_core.study.cells import ALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.config.study import StudyConfig
    from fire_core.records import LabelledStructure
    from fire_core.study.cells import Cell


def map_pool(
    pool: Sequence[LabelledStructure], config: StudyConfig
) -> NDArray[np.float64]:
    """Return the pool in the space of FIRE's selection: SOAP, then PCA.

    Returns
    -------
    NDArray[np.float64]
        (n_pool, n_components).
    """
    features = soap_features([item.atoms for item in pool], config.soap)
    pca = fit_pca(features, config.pca_components, config.pca_variance)
    return pca.project(features)


def choose_frames(
    cell: Cell, n_pool: int, space: NDArray[np.float64] | None
) -> list[int]:
    """Return the positions in the pool of the frames that a cell learns from.

    All variants of one size, selection and seed are given the same frames.

    Parameters
    ----------
    cell
        How many, how and with which seed.
    n_pool
        Frames in the pool.
    space
        (n_pool, k), from `map_pool`; a random choice needs none.
    """
    if cell.selection == ALL:
        return list(range(n_pool))
    points = np.arange(n_pool, dtype=np.float64)[:, None] if space is None else space
    seed = derive_seed(cell.seed, "study", "select", cell.labels)
    config = SelectConfig.model_validate({"method": cell.selection, "n": cell.labels})
    return sorted(pick.index for pick in select(points, config, rng_seed=seed))


def split_chosen(
    chosen: Sequence[LabelledStructure], fraction: float, seed: int
) -> tuple[list[LabelledStructure], list[LabelledStructure]]:
    """Return the chosen frames to train on and those to validate with."""
    keys = [item.key for item in chosen]
    split = split_keys(keys, fraction, derive_seed(seed, "study", "split"))
    train = [item for item in chosen if split[item.key] is Split.TRAIN]
    return train, [item for item in chosen if split[item.key] is Split.VALID]
