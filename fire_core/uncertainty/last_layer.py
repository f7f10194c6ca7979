"""Uncertainty from one model: how rigid its prediction for an atom is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import UncertaintyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

RIDGES: Final = (1e-6, 1e-4, 1e-2, 1.0)
"""Regularisers to choose from, as parts of the metric's mean eigenvalue."""


@dataclass(frozen=True, slots=True, eq=False)
class RigidityMetric:
    """What the training atoms say of the last layer's features.

    Attributes
    ----------
    inverse_root
        (k, k), lower-triangular L⁻¹ with L Lᵀ = Σᵢ fᵢ fᵢᵀ / n + ridge.
    n_atoms
        Atoms that it was made of.
    """

    inverse_root: NDArray[np.float64]
    n_atoms: int

    def deviation(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return √(fᵀ (FᵀF/n + ς)⁻¹ f) of each atom, (n_atoms,), without a unit.

        The local prediction rigidity's inverse root (Bigi et al., Mach. Learn.: Sci.
        Technol. 5 (2024) 045018; Chong et al., J. Chem. Theory Comput. 19 (2023) 8020):
        the larger, the less the training data hold the atom's energy in place. Its
        scale in eV/Å comes from `calibration`.
        """
        held: NDArray[np.float64] = np.linalg.norm(
            features @ self.inverse_root.T, axis=1
        )
        return held


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSum:
    """Σᵢ fᵢ fᵢᵀ over training atoms, (k, k), and their number."""

    total: NDArray[np.float64]
    n_atoms: int

    def metric(self, ridge: float) -> RigidityMetric:
        """Return the metric with a regulariser, a part of its mean eigenvalue."""
        metric = self.total / self.n_atoms
        metric += ridge * float(np.trace(metric)) / len(metric) * np.eye(len(metric))
        return RigidityMetric(np.linalg.inv(np.linalg.cholesky(metric)), self.n_atoms)


def sum_features(features: Iterable[NDArray[np.float64]]) -> FeatureSum:
    """Sum the outer products of training atoms' features, frame by frame.

    Parameters
    ----------
    features
        For each structure, (n_atoms, k), what the model's readout receives.

    Raises
    ------
    UncertaintyError
        There is no atom, or a feature is not finite.
    """
    total, n_atoms = None, 0
    for rows in features:
        outer = rows.T @ rows
        total = outer if total is None else total + outer
        n_atoms += len(rows)
    if total is None or not n_atoms or not np.isfinite(total).all():
        msg = f"expected finite features of training atoms, got {n_atoms} atoms"
        raise UncertaintyError(msg)
    return FeatureSum(total, n_atoms)
