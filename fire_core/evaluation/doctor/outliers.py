"""Frames whose labels the backbone finds far odder than the others'."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.evaluation.doctor.dataset import centre_by_group, robust_scale
from fire_core.evaluation.doctor.findings import (
    Finding,
    FindingKind,
    Severity,
    first_frames,
)
from fire_core.evaluation.doctor.offsets import fit_trimmed, residuals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.evaluation.doctor.dataset import Dataset, Predictions

LEAST_FRAMES: Final = 10
"""Frames needed to say what is usual."""
LEAST_ALIKE: Final = 3
"""Frames of one composition needed to compare them with each other."""
Z_LIMIT: Final = 8.0
"""Robust standard deviations; a normal distribution never reaches them."""
LEAST_ENERGY: Final = 0.05
"""Energy deviation that is worth a look whatever its z-score, eV/atom."""
LEAST_RATIO: Final = 1.0
"""Force error over the size of the forces that is worth a look; √2 for forces that
have nothing to do with the structure."""
Z_LIMIT_RATIO: Final = 3.5
"""Robust standard deviations of that ratio's logarithm; lower, since it is bounded."""


def examine_energy_outliers(data: Dataset, predictions: Predictions) -> list[Finding]:
    """Find energies far from the backbone's, after the per-element fit.

    A frame is compared with others of its composition; one whose composition is rare
    with those of all compositions, if there are enough to say how much they differ.
    Spreads are median absolute deviations over the evenly spaced frames.
    """
    if len(predictions.sample) < LEAST_FRAMES:
        return []
    asked = predictions.positions
    sampled = np.isin(asked, predictions.sample)
    fit = fit_trimmed(data.items, predictions)
    plain = residuals(data.items, predictions, asked, fit)
    formulas = [data.items[i].atoms.get_chemical_formula() for i in asked]
    counts = Counter(formulas)
    is_rare = np.array([counts[f] < LEAST_ALIKE for f in formulas])
    left = centre_by_group(plain, formulas, least=LEAST_ALIKE)
    usual = _spread(left[sampled & ~is_rare])
    among_all = _spread(plain[sampled]) if len(counts) >= LEAST_FRAMES else np.inf
    z = np.abs(left) / np.where(is_rare, among_all, usual)
    bad = np.flatnonzero((z > Z_LIMIT) & (np.abs(left) > LEAST_ENERGY))
    if not len(bad):
        return []
    worst = bad[np.argmax(z[bad])]
    return [
        Finding(
            FindingKind.ENERGY_OUTLIER,
            Severity.WARNING,
            f"energies of {len(bad)} of {len(asked)} frames asked lie far from the "
            f"rest: up to {left[worst]:+.3f} eV/atom, {z[worst]:.0f} robust standard "
            "deviations, after the per-element fit",
            "look at these calculations: converged, same settings, right structure?",
            first_frames(data.numbers[asked[i]] for i in bad),
            len(bad),
            {"worst_ev_per_atom": float(left[worst]), "worst_z": float(z[worst])},
        )
    ]


def examine_force_outliers(data: Dataset, predictions: Predictions) -> list[Finding]:
    """Find frames whose forces the backbone misses far more than the others'.

    The measure is the root mean square error over the size of the forces, so that a
    hot frame is no outlier for being hot.
    """
    if len(predictions.sample) < LEAST_FRAMES:
        return []
    asked = predictions.positions
    error, size = np.array(
        [
            (
                _rms(data.items[i].label.forces - predictions.labels[i].forces),
                _rms(data.items[i].label.forces),
            )
            for i in asked
        ]
    ).T
    sampled = np.isin(asked, predictions.sample)
    floor = max(float(np.median(size[sampled])), 1e-6)
    ratio = error / np.maximum(size, floor)
    spread = max(robust_scale(np.log(ratio[sampled] + 1e-9)), 0.05)
    z = (np.log(ratio + 1e-9) - np.median(np.log(ratio[sampled] + 1e-9))) / spread
    bad = np.flatnonzero((z > Z_LIMIT_RATIO) & (ratio > LEAST_RATIO))
    if not len(bad):
        return []
    worst = bad[np.argmax(z[bad])]
    return [
        Finding(
            FindingKind.FORCE_OUTLIER,
            Severity.WARNING,
            f"forces of {len(bad)} of {len(asked)} frames asked differ from the "
            f"backbone's far more than the rest's: up to {error[worst]:.2f} eV/Å rms, "
            f"{ratio[worst]:.1f} × the forces themselves (median "
            f"{np.median(ratio[sampled]):.2f})",
            "look at these calculations: converged, forces of this very structure?",
            first_frames(data.numbers[asked[i]] for i in bad),
            len(bad),
            {"worst_ratio": float(ratio[worst]), "worst_z": float(z[worst])},
        )
    ]


def _spread(values: NDArray[np.float64]) -> float:
    """Return the robust standard deviation; infinity where there are too few."""
    return max(robust_scale(values), 1e-6) if len(values) >= LEAST_FRAMES else np.inf


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
