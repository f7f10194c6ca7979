"""Self-diffusion by kinisi's Bayesian regression, over a window that was found."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from fire_core.properties.transport.self_diffusion import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def estimate_with_kinisi(
    replicas: Sequence[Array], interval: float, lags: NDArray[np.int64], seed: int = 0
) -> Estimate:
    """Return the self-diffusion coefficient that kinisi samples.

    Its covariance is estimated from the variance of squared displacements, ions taken
    as independent; ions of all replicas count as ions of one run. A. R. McCluskey et
    al., J. Chem. Theory Comput. 21, 79 (2025).

    Parameters
    ----------
    replicas
        (n_frames, n_ions, 3) each, Å, unwrapped, without drift.
    interval
        Between frames, ps.
    lags
        (n,), time differences of the window, frames.
    seed
        Of its Markov chains.
    """
    import scipp
    from kinisi.diffusion import Diffusion

    means, variances, samples = [], [], []
    for lag in lags.tolist():
        squares = [np.sum((x[lag:] - x[:-lag]) ** 2, axis=2) for x in replicas]
        joined = np.concatenate(squares, axis=1)
        n_samples = joined.shape[1] * len(replicas[0]) / lag
        means.append(float(joined.mean()))
        variances.append(float(joined.var(ddof=1)) / n_samples)
        samples.append(n_samples)
    dims = ["time interval"]
    data = scipp.DataArray(
        data=scipp.Variable(
            dims=dims, values=means, variances=variances, unit="angstrom^2"
        ),
        coords={
            "time interval": scipp.array(dims=dims, values=lags * interval, unit="ps"),
            "n_samples": scipp.array(dims=dims, values=samples),
        },
    )
    group = scipp.DataGroup({"da": data, "dimensionality": scipp.scalar(3)})
    start = scipp.scalar(float(lags[0]) * interval, unit="ps")
    diffusion = Diffusion(group)
    with _generator_kept():
        diffusion.bayesian_regression(
            start, progress=False, random_state=np.random.RandomState(seed)
        )
    drawn = np.asarray(diffusion.gradient.values) / 6.0
    value, error = float(drawn.mean()), float(drawn.std(ddof=1))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(
        value, error, float(low), float(high), 2.0 * (value / error) ** 2, "by kinisi"
    )


@contextmanager
def _generator_kept() -> Iterator[None]:
    """Restore the process's generator afterwards; kinisi seeds it."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
