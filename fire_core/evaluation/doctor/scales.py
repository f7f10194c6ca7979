"""Signs and units of energies, forces and stresses, against a backbone's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.evaluation.doctor.dataset import centre_by_group, composition_fractions
from fire_core.evaluation.doctor.findings import (
    Finding,
    FindingKind,
    Severity,
    first_frames,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fire_core.evaluation.doctor.dataset import Predictions
    from fire_core.records import LabelledStructure

    Array = NDArray[np.float64]

LEAST_CORRELATION: Final = 0.6
"""Rank correlation below which labels and predictions say nothing of units."""
LEAST_VALUES: Final = 12
NOISE: Final = 0.02
"""Predictions below this fraction of the large ones are zero by symmetry."""
WITHIN: Final = 1.6
"""A unit is recognised when the ratio is within this factor of it."""
RIGHT: Final = 2.5
"""Factor that a backbone may be wrong by when no wrong unit explains it."""

# What the number for 1 eV, 1 eV/Å or 1 eV/Å³ is in other units (CODATA 2018).
ENERGY_UNITS: Final = {
    "Hartree": 1 / 27.211386,
    "Rydberg": 1 / 13.605693,
    "kcal/mol": 23.060548,
    "kJ/mol": 96.485332,
    "meV": 1000.0,
}
FORCE_UNITS: Final = {
    "Hartree/Bohr": 1 / 51.422067,
    "Rydberg/Bohr": 1 / 25.711034,
    "kcal/mol/Å": 23.060548,
    "kJ/mol/nm": 964.85332,
    "meV/Å": 1000.0,
}
STRESS_UNITS: Final = {
    "GPa": 160.21766,
    "kbar": 1602.1766,
    "MPa": 160217.66,
    "bar": 1602176.6,
    "Pa": 160.21766e9,
    "Hartree/Bohr³, or eV/Å³ divided by 160.2 once more": 1 / 170.0,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """How label values follow predicted ones.

    Attributes
    ----------
    ratio
        Size of the labels over size of the predictions, with the correlation's sign.
    correlation
        Spearman's; robust against a few wild values.
    n
        Values compared; those that are zero by symmetry are not.
    """

    ratio: float
    correlation: float
    n: int

    @property
    def is_judged(self) -> bool:
        """Whether the two follow each other well enough to speak of units."""
        return self.n >= LEAST_VALUES and abs(self.correlation) >= LEAST_CORRELATION

    def numbers(self) -> dict[str, float]:
        """Return the comparison as a finding's numbers."""
        return {
            "ratio": self.ratio,
            "correlation": self.correlation,
            "n_values": float(self.n),
        }


def compare(label: Array, predicted: Array) -> Comparison:
    """Compare label values with predicted ones, both (n,), centred by who calls."""
    size = np.abs(predicted)
    large = np.quantile(size, 0.95) if len(size) else 0.0
    kept = size > NOISE * large
    if kept.sum() < 3 or not np.abs(label[kept]).any():
        return Comparison(float("nan"), 0.0, int(kept.sum()))
    one, other = _ranks(label[kept]), _ranks(predicted[kept])
    correlation = float(one @ other / (one @ one))
    ratio = _size(label[kept]) / _size(predicted[kept])
    return Comparison(float(np.copysign(ratio, correlation)), correlation, len(one))


def name_units(ratio: float, units: Mapping[str, float]) -> list[str]:
    """Return the units that explain a ratio, the nearest first."""
    size = abs(ratio)
    far = {name: abs(np.log(size / value)) for name, value in units.items()}
    fitting = [name for name in far if far[name] < np.log(WITHIN)]
    return sorted(fitting, key=far.__getitem__)


def examine_stress(
    items: Sequence[LabelledStructure], predictions: Predictions
) -> list[Finding]:
    """Find stresses of the wrong sign or unit, and virials given as stresses.

    Each composition's median is taken out of labels and predictions, so that a
    constant error of the backbone's pressure does not decide. Frames that are not
    periodic in three directions have no stress and are left out.
    """
    chosen = [
        i
        for i in predictions.sample
        if items[i].label.stress is not None
        and predictions.labels[i].stress is not None
        and items[i].atoms.pbc.all()
    ]
    if not chosen:
        return []
    groups = [items[i].atoms.get_chemical_formula() for i in chosen]
    label = np.array([items[i].label.stress for i in chosen], float)
    predicted = np.array([predictions.labels[i].stress for i in chosen], float)
    volumes = np.array([items[i].atoms.get_volume() for i in chosen])
    centre = centre_by_group(predicted, groups).ravel()
    plain = compare(centre_by_group(label, groups).ravel(), centre)
    virial = compare(centre_by_group(label / volumes[:, None], groups).ravel(), centre)
    if not plain.is_judged and not virial.is_judged:
        return [_unjudged(FindingKind.STRESS_SCALE, "stresses", plain)]
    units = dict(STRESS_UNITS)
    best = plain if plain.is_judged else replace(plain, correlation=virial.correlation)
    if abs(np.log(abs(virial.ratio))) < np.log(WITHIN):
        units["eV: a virial, which is stress times volume"] = plain.ratio / virial.ratio
    problem = _problem_of(best, units, near_is_right=plain.is_judged)
    what = (
        f"label stress = {best.ratio:+.3g} × the backbone's (rank correlation "
        f"{best.correlation:+.2f}, {len(chosen)} frames; expected +1, eV/Å³, tension "
        "positive)"
    )
    if not problem:
        return [_right(FindingKind.STRESS_SCALE, what, best)]
    remedy = (
        "write stress in ASE's convention: eV/Å³, positive under tension. From VASP's "
        "kbar: × -1/1602.1766; from GPa: / 160.21766; from a virial in eV: × -1/volume"
    )
    return [
        Finding(
            FindingKind.STRESS_SCALE,
            Severity.ERROR,
            f"{problem}: {what}",
            remedy,
            first_frames(chosen),
            len(chosen),
            best.numbers(),
        )
    ]


def examine_forces(
    items: Sequence[LabelledStructure], predictions: Predictions
) -> list[Finding]:
    """Find forces of the wrong sign or unit."""
    chosen = list(predictions.sample)
    if not chosen:
        return []
    label = np.concatenate([items[i].label.forces.ravel() for i in chosen])
    predicted = np.concatenate([predictions.labels[i].forces.ravel() for i in chosen])
    found = compare(label, predicted)
    if not found.is_judged:
        return [_unjudged(FindingKind.FORCE_SCALE, "forces", found)]
    what = (
        f"label force = {found.ratio:+.3g} × the backbone's (rank correlation "
        f"{found.correlation:+.2f}, {len(chosen)} frames; expected +1, eV/Å)"
    )
    problem = _problem_of(found, FORCE_UNITS)
    if not problem:
        return [_right(FindingKind.FORCE_SCALE, what, found)]
    remedy = "write forces in eV/Å: minus the gradient of the energy"
    return [
        Finding(
            FindingKind.FORCE_SCALE,
            Severity.ERROR,
            f"{problem}: {what}",
            remedy,
            first_frames(chosen),
            len(chosen),
            found.numbers(),
        )
    ]


def examine_energies(
    items: Sequence[LabelledStructure], predictions: Predictions
) -> list[Finding]:
    """Find energies of the wrong unit, or given per atom.

    What a constant for each element explains is taken out of both sides first; what
    is left, such as the energy of thermal motion, must follow the backbone.
    """
    chosen = list(predictions.sample)
    if len(chosen) < LEAST_VALUES:
        return []
    sizes = np.array([len(items[i].atoms) for i in chosen], float)
    total = np.array([items[i].label.energy for i in chosen])
    predicted = np.array([predictions.labels[i].energy for i in chosen]) / sizes
    fractions = composition_fractions([items[i] for i in chosen])
    centre = _without_composition(predicted, fractions)
    found = compare(_without_composition(total / sizes, fractions), centre)
    per_atom = compare(_without_composition(total, fractions), centre)
    if not found.is_judged and not per_atom.is_judged:
        return [_unjudged(FindingKind.ENERGY_SCALE, "energies", found)]
    best = (
        found if found.is_judged else replace(found, correlation=per_atom.correlation)
    )
    units = dict(ENERGY_UNITS)
    if abs(np.log(abs(per_atom.ratio))) < np.log(WITHIN):
        units["eV per atom"] = found.ratio / per_atom.ratio
    what = (
        f"label energy = {best.ratio:+.3g} × the backbone's (rank correlation "
        f"{best.correlation:+.2f}, {len(chosen)} frames, compositions taken out; "
        "expected +1, eV per cell)"
    )
    problem = _problem_of(best, units, near_is_right=found.is_judged)
    if not problem:
        return [_right(FindingKind.ENERGY_SCALE, what, best)]
    remedy = "write the total energy of the cell in eV"
    return [
        Finding(
            FindingKind.ENERGY_SCALE,
            Severity.ERROR,
            f"{problem}: {what}",
            remedy,
            first_frames(chosen),
            len(chosen),
            best.numbers(),
        )
    ]


def _problem_of(
    found: Comparison, units: Mapping[str, float], *, near_is_right: bool = True
) -> str:
    """Return what is wrong with sign and unit; empty when nothing is."""
    names = name_units(found.ratio, units)
    near_one = near_is_right and abs(np.log(abs(found.ratio))) < np.log(RIGHT)
    parts = ["wrong sign"] if found.ratio < 0 else []
    if not near_one and names:
        parts.append(f"wrong unit, probably {' or '.join(names)}")
    elif not near_one:
        parts.append("wrong size, of no unit known here")
    return " and ".join(parts)


def _right(kind: FindingKind, what: str, found: Comparison) -> Finding:
    text = f"sign and unit are right: {what}"
    return Finding(kind, Severity.NOTE, text, numbers=found.numbers())


def _unjudged(kind: FindingKind, noun: str, found: Comparison) -> Finding:
    what = (
        f"sign and unit of the {noun} cannot be judged: they follow the backbone's too "
        f"little (rank correlation {found.correlation:+.2f}, {found.n} values, needed "
        f"{LEAST_CORRELATION:.1f})"
    )
    remedy = "try a backbone that knows this chemistry better, or frames that vary more"
    return Finding(kind, Severity.NOTE, what, remedy, numbers=found.numbers())


def _without_composition(values: Array, fractions: Array) -> Array:
    fitted = np.linalg.lstsq(fractions, values, rcond=None)[0]
    return np.asarray(values - fractions @ fitted)


def _ranks(values: Array) -> Array:
    """Return each value's rank, less the mean rank."""
    return np.asarray(np.argsort(np.argsort(values)) - (len(values) - 1) / 2)


def _size(values: Array) -> float:
    """Return the mean magnitude without the largest twentieth."""
    size = np.sort(np.abs(values))
    return float(size[: max(1, int(0.95 * len(size)))].mean())
