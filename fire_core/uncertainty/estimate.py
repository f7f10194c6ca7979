"""Estimators: what says, atom by atom, how far a force may be off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fire_core.uncertainty.calibration import (
    Calibration,
    assess,
    fit_calibration,
    negative_log_likelihood,
)
from fire_core.uncertainty.committee import force_spread
from fire_core.uncertainty.last_layer import RIDGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.records import Label, LabelledStructure
    from fire_core.uncertainty.calibration import Reliability
    from fire_core.uncertainty.last_layer import FeatureSum, RigidityMetric


class Predictor(Protocol):
    """What a committee needs of a model."""

    def predict(self, frames: Sequence[Atoms]) -> list[Label]:
        """Return energies, eV, and forces, eV/Å."""


class FeatureModel(Predictor, Protocol):
    """What the last layer's rigidity needs of a model."""

    def atom_features(self, frames: Sequence[Atoms]) -> list[NDArray[np.float64]]:
        """Return the readout's input for each frame, (n_atoms, k)."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A model's forces with a raw uncertainty of each atom's.

    Attributes
    ----------
    labels
        The model's own predictions.
    raw
        For each frame, (n_atoms,), before calibration.
    """

    labels: list[Label]
    raw: list[NDArray[np.float64]]


class Estimator(Protocol):
    """A model that doubts itself."""

    def estimate(self, frames: Sequence[Atoms]) -> Estimate:
        """Return predictions and their raw uncertainty."""


@dataclass(frozen=True, slots=True)
class CommitteeEstimator:
    """The model in use beside the members of its committee."""

    model: Predictor
    members: Sequence[Predictor]

    def estimate(self, frames: Sequence[Atoms]) -> Estimate:
        """Return the model's predictions and the spread of all, eV/Å."""
        labels = self.model.predict(frames)
        others = [member.predict(frames) for member in self.members]
        return Estimate(labels, force_spread([labels, *others]))


@dataclass(frozen=True, slots=True)
class LastLayerEstimator:
    """The model in use, and what its training atoms say of its last layer."""

    model: FeatureModel
    metric: RigidityMetric

    def estimate(self, frames: Sequence[Atoms]) -> Estimate:
        """Return the model's predictions and their atoms' deviations, no unit."""
        return Estimate(self.model.predict(frames), self.deviations(frames))

    def deviations(self, frames: Sequence[Atoms]) -> list[NDArray[np.float64]]:
        """Return the atoms' deviations alone, for who has the forces already."""
        return [
            self.metric.deviation(rows) for rows in self.model.atom_features(frames)
        ]


def build_last_layer(
    model: FeatureModel, summed: FeatureSum, known: Sequence[LabelledStructure]
) -> LastLayerEstimator:
    """Return the estimator whose regulariser makes the labels' errors most likely.

    Parameters
    ----------
    model
        The model in use.
    summed
        Its training atoms' features.
    known
        Labels that it was not trained on; without any the third of `RIDGES` is taken.
    """
    if not known:
        return LastLayerEstimator(model, summed.metric(RIDGES[2]))
    frames = [item.atoms for item in known]
    features = np.concatenate(model.atom_features(frames))
    errors = force_errors(Estimate(model.predict(frames), []), known)

    def cost(ridge: float) -> float:
        raw = summed.metric(ridge).deviation(features)
        return negative_log_likelihood(fit_calibration(raw, errors).apply(raw), errors)

    return LastLayerEstimator(model, summed.metric(min(RIDGES, key=cost)))


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedEstimator:
    """What a calibration on labelled structures gave.

    Attributes
    ----------
    calibration
        The fit.
    reliability
        Of the same structures, whose errors it was fitted to; None without any.
    """

    calibration: Calibration
    reliability: Reliability | None


def calibrate(
    estimator: Estimator, known: Sequence[LabelledStructure]
) -> CalibratedEstimator:
    """Fit an estimator's scale to labels that its model was not trained on.

    Without such labels the raw uncertainty is kept as it is.
    """
    if not known:
        return CalibratedEstimator(Calibration(), None)
    estimate = estimator.estimate([item.atoms for item in known])
    errors = force_errors(estimate, known)
    calibration = fit_calibration(np.concatenate(estimate.raw), errors)
    sigma = calibration.apply(np.concatenate(estimate.raw))
    return CalibratedEstimator(calibration, assess(sigma, errors))


def force_errors(
    estimate: Estimate, known: Sequence[LabelledStructure]
) -> NDArray[np.float64]:
    """Return predicted less labelled forces of all atoms, (n, 3), eV/Å."""
    return np.concatenate(
        [
            label.forces - item.label.forces
            for label, item in zip(estimate.labels, known, strict=True)
        ]
    )
