"""Where the mobile ions are: their density on a grid of the folded cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.properties.transport.trajectory import Trajectory


def density_map(
    runs: Sequence[Trajectory], mobile: str, edge: float
) -> NDArray[np.float64]:
    """Return the density of an element, ions/Å³, (n_a, n_b, n_c), along the vectors.

    Parameters
    ----------
    runs
        Without drift; of one cell.
    mobile
        The element.
    edge
        Length of a box, Å, about.
    """
    cell = runs[0].cell
    shape = [max(1, round(float(n) / edge)) for n in np.linalg.norm(cell, axis=1)]
    counts = np.zeros(shape)
    n_frames = 0
    for run in runs:
        positions = run.positions[:, run.symbols == mobile].reshape(-1, 3)
        scaled = np.linalg.solve(cell.T, positions.T.astype(np.float64)).T % 1.0
        bounds = [(0.0, 1.0)] * 3
        counts += np.histogramdd(scaled, bins=shape, range=bounds)[0]
        n_frames += len(run.positions)
    return np.asarray(counts / (n_frames * runs[0].volume / counts.size))


def projections(density: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the density averaged along a, b and c, ions/Å³."""
    return [np.asarray(density.mean(axis=axis)) for axis in range(3)]
