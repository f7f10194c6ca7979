"""From blocks of features to points of few dimensions, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fire_core.selection.reduce import PcaMap, fit_pca, fit_pca_in_blocks
from fire_core.selection.spool import FeatureFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from fire_core.config.steps import SelectConfig

    Blocks = Iterable[NDArray[np.floating]]


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Candidates and labelled structures in one space of few dimensions.

    Attributes
    ----------
    points
        (m, k), candidates.
    known
        (j, k), what is labelled; j may be 0.
    q_residuals
        (m,), squared distance of each candidate to the kept subspace.
    known_q
        (j,), the same of what is labelled.
    pca
        The map, fitted to the candidates.
    """

    points: NDArray[np.float64]
    known: NDArray[np.float64]
    q_residuals: NDArray[np.float64]
    known_q: NDArray[np.float64]
    pca: PcaMap


def reduce_features(
    candidates: Blocks,
    known: Blocks,
    config: SelectConfig,
    folder: Path | None = None,
) -> Reduced:
    """Take features as they come, fit the principal components and project.

    At most `config.memory_mib` of features are held, some 100 MiB of work beside them;
    what is more is written to a file and read in blocks.

    Parameters
    ----------
    candidates, known
        Blocks of features, (n, width).
    config
        Components, variance and memory.
    folder
        Where the file is made; the system's temporary folder when None.

    Raises
    ------
    StructureError
        Fewer than two candidates differ, or a feature is not finite.
    """
    limit = config.memory_mib * 2**20
    with (
        FeatureFile(limit, folder) as spool,
        FeatureFile(limit // 8, folder) as labelled,
    ):
        for block in candidates:
            spool.append(block)
        for block in known:
            labelled.append(block)
        components, variance = config.pca_components, config.pca_variance
        if 4 * len(spool) * spool.width <= limit:
            features = np.empty((len(spool), spool.width), np.float32)
            start = 0
            for block in spool.blocks():
                features[start : start + len(block)] = block
                start += len(block)
            pca = fit_pca(features, components, variance)
            del features
        else:
            pca = fit_pca_in_blocks(spool, components, variance)
        points, left = _project(spool, pca)
        seen, seen_left = _project(labelled, pca)
    return Reduced(points, seen, left, seen_left, pca)


def _project(
    spool: FeatureFile, pca: PcaMap
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scores = [np.empty((0, len(pca.components)))]
    left = [np.empty(0)]
    for block in spool.blocks():
        part = pca.project(block)
        away = block - pca.reconstruct(part)
        scores.append(part)
        left.append(np.einsum("ij,ij->i", away, away))
    return np.concatenate(scores), np.concatenate(left)
