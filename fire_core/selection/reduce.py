"""Reduce features to their principal components and measure what is left over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import StructureError
from fire_core.selection.krylov import leading_components, mean_and_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.selection.spool import FeatureFile

EXACT: Final = 500
"""Smaller side of the feature matrix up to which the full SVD is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class PcaMap:
    """A kept subspace of the feature space.

    Attributes
    ----------
    mean
        (n_features,), centre of the features that it was fitted to.
    components
        (n_components, n_features), orthonormal rows; the largest entry of each,
        by magnitude, is positive.
    explained_variance
        (n_components,), variance along each, descending.
    explained_ratio
        (n_components,), the same as fractions of the total variance.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    explained_variance: NDArray[np.float64]
    explained_ratio: NDArray[np.float64]

    def project(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return coordinates in the subspace, (n, n_components)."""
        scores: NDArray[np.float64] = (features - self.mean) @ self.components.T
        return scores

    def reconstruct(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the features, (n, n_features), that coordinates stand for."""
        features: NDArray[np.float64] = self.mean + scores @ self.components
        return features

    def q_residual(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the squared distance to the subspace, (n,).

        The Q statistic (Jackson and Mudholkar, Technometrics 21, 341, 1979): far
        above that of the fitted frames, a frame differs in a way that the
        components do not know.
        """
        left = np.empty(len(features))
        for i, row in enumerate(features):  # one at a time: features may be wide
            away = row - self.mean
            away = away - (self.components @ away) @ self.components
            left[i] = away @ away
        return left


def fit_pca(features: NDArray[np.floating], components: int, variance: float) -> PcaMap:
    """Fit the principal components of features (scikit-learn).

    Parameters
    ----------
    features
        (n, n_features).
    components
        Most components to keep.
    variance
        Fraction of the variance to keep; the smaller number of components holds.

    Raises
    ------
    StructureError
        When fewer than two frames differ, or a feature is not finite.
    """
    from sklearn.decomposition import PCA

    finite = bool(np.isfinite(features).all())
    differ = len(features) >= 2 and bool(np.ptp(features, axis=0).any())
    _refuse_unfit(len(features), finite=finite, differ=differ)
    side = min(features.shape)
    most = min(components, side)
    if side <= EXACT or most == side:
        pca = PCA(most, svd_solver="full").fit(features.astype(np.float64))
    else:
        pca = PCA(most, svd_solver="arpack", random_state=0).fit(features)
    return _keep(
        pca.mean_.astype(np.float64),
        pca.components_.astype(np.float64),
        pca.explained_variance_.astype(np.float64),
        pca.explained_variance_ratio_.astype(np.float64),
        variance,
    )


def fit_pca_in_blocks(spool: FeatureFile, components: int, variance: float) -> PcaMap:
    """Fit as `fit_pca` does, reading the features in blocks.

    The features are read some six times; beside a block, what is held grows with their
    width and not with their number. Components agree with the full decomposition to
    single precision; features as narrow as the components wanted are read at once.

    Raises
    ------
    StructureError
        As for `fit_pca`.
    """
    n, width = len(spool), spool.width
    if n < 2 or min(n, width) <= components:
        return fit_pca(
            np.concatenate([np.empty((0, width), np.float32), *spool.blocks()]),
            components,
            variance,
        )
    mean, total, widest, finite = mean_and_variance(spool.blocks)
    _refuse_unfit(n, finite=finite, differ=widest > 0)
    values, rows = leading_components(spool.blocks, mean, n, components)
    return _keep(mean, rows, values, values / total, variance)


def _refuse_unfit(n: int, *, finite: bool, differ: bool) -> None:
    if not finite:
        msg = "expected finite features, got nan or inf; screen the frames first"
        raise StructureError(msg)
    if not differ:
        msg = (
            f"expected frames that differ, got {n} with equal features; "
            "raise explore.steps or explore.temperatures"
        )
        raise StructureError(msg)


def _keep(
    mean: NDArray[np.float64],
    rows: NDArray[np.float64],
    variances: NDArray[np.float64],
    ratio: NDArray[np.float64],
    variance: float,
) -> PcaMap:
    """Keep the first components that hold the variance wanted; fix their signs."""
    reached = np.cumsum(ratio) >= variance
    kept = int(np.argmax(reached)) + 1 if reached.any() else len(rows)
    rows = rows[:kept]
    largest = np.argmax(np.abs(rows), axis=1)
    signs = np.where(rows[np.arange(kept), largest] < 0, -1.0, 1.0)
    return PcaMap(
        mean=mean,
        components=rows * signs[:, None],
        explained_variance=variances[:kept],
        explained_ratio=ratio[:kept],
    )
