"""Signs and units of energies, forces and stresses, against a backbone's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.evaluation.doctor.dataset import centre_by_group, composition_fractions
from fire_core.evaluation.doctor.findings import Finding, FindingKind, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fire_core.evaluation.doctor.dataset import Predictions
    from fire_core.records import LabelledStructure

    Array = NDArray[np.float64]

LEAST_CORRELATION: Final = 0.6
"""Rank correlation below which labels and predictions say nothing of units."""
STRONG_CORRELATION: Final = 0.9
"""Above this a size that no unit explains is not the backbone's error."""
ODD_SIZE: Final = "wrong size, of no unit known here"
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
    is_plain
        Whether the correlation is that of the labels as they are, and not of the
        labels times a size of the cell.
    """

    ratio: float
    correlation: float
    n: int
    is_plain: bool = True

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
    if kept.sum() < 3 or not _size(label[kept]):
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
    best, units = _choose(plain, virial, STRESS_UNITS, "eV: a virial, stress × volume")
    sample = f"{len(chosen)} frames; expected +1, eV/Å³, tension positive"
    remedy = (
        "write stress in ASE's convention: eV/Å³, positive under tension. From VASP's "
        "kbar: × -1/1602.1766; from GPa: / 160.21766; from a virial in eV: × -1/volume"
    )
    return [_report(FindingKind.STRESS_SCALE, best, units, sample, remedy)]


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
    sample = f"{len(chosen)} frames; expected +1, eV/Å"
    remedy = "write forces in eV/Å: minus the gradient of the energy"
    return [_report(FindingKind.FORCE_SCALE, found, FORCE_UNITS, sample, remedy)]


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
    groups = [items[i].atoms.get_chemical_formula() for i in chosen]

    def centred(values: Array) -> Array:
        return centre_by_group(_without_composition(values, fractions), groups)

    centre = centred(predicted)
    found = compare(centred(total / sizes), centre)
    per_atom = compare(centred(total), centre)
    best, units = _choose(found, per_atom, ENERGY_UNITS, "eV per atom")
    sample = f"{len(chosen)} frames, compositions taken out; expected +1, eV per cell"
    remedy = "write the total energy of the cell in eV"
    return [_report(FindingKind.ENERGY_SCALE, best, units, sample, remedy)]


def _choose(
    plain: Comparison, scaled: Comparison, units: Mapping[str, float], name: str
) -> tuple[Comparison, dict[str, float]]:
    """Return the comparison to judge by, and the units that may explain it.

    `scaled` compares what the labels would be if they were multiplied by a size of
    the cell; when that fits, `name` is one of the units. With cells of several sizes
    it may be the only one of the two that is correlated.
    """
    best = plain
    if not plain.is_judged and scaled.is_judged:
        best = replace(plain, correlation=scaled.correlation, is_plain=False)
    if abs(np.log(abs(scaled.ratio))) < np.log(WITHIN):
        return best, {**units, name: plain.ratio / scaled.ratio}
    return best, dict(units)


def _report(
    kind: FindingKind,
    found: Comparison,
    units: Mapping[str, float],
    sample: str,
    remedy: str,
) -> Finding:
    """Return what a comparison says of sign and unit."""
    follow = f"rank correlation {found.correlation:+.2f}"
    if not found.is_judged:
        what = (
            "sign and unit cannot be judged: labels follow the backbone's predictions "
            f"too little ({follow}, {found.n} values, needed {LEAST_CORRELATION:.1f})"
        )
        remedy = "try a backbone that knows this chemistry better, or other frames"
        return Finding(kind, Severity.NOTE, what, remedy, numbers=found.numbers())
    what = f"labels are {found.ratio:+.3g} × the backbone's ({follow}, {sample})"
    problem = _problem_of(found, units)
    if problem == ODD_SIZE and abs(found.correlation) < STRONG_CORRELATION:
        what = f"{what}: odd, but the backbone's own error may explain it"
        return Finding(kind, Severity.NOTE, what, numbers=found.numbers())
    if not problem:
        what = f"sign and unit are right: {what}"
        return Finding(kind, Severity.NOTE, what, numbers=found.numbers())
    what = f"{problem}: {what}"
    return Finding(kind, Severity.ERROR, what, remedy, numbers=found.numbers())


def _problem_of(found: Comparison, units: Mapping[str, float]) -> str:
    """Return what is wrong with sign and unit; empty when nothing is."""
    names = name_units(found.ratio, units)
    near_one = found.is_plain and abs(np.log(abs(found.ratio))) < np.log(RIGHT)
    parts = ["wrong sign"] if found.ratio < 0 else []
    if not near_one and names:
        parts.append(f"wrong unit, probably {' or '.join(names)}")
    elif not near_one:
        parts.append(ODD_SIZE)
    return " and ".join(parts)


def _without_composition(values: Array, fractions: Array) -> Array:
    fitted = np.linalg.lstsq(fractions, values, rcond=None)[0]
    return np.asarray(values - fractions @ fitted)


def _ranks(values: Array) -> Array:
    """Return each value's rank, less the mean rank."""
    return np.asarray(np.argsort(np.argsort(values)) - (len(values) - 1) / 2)


def _size(values: Array) -> float:
    """Return the median magnitude, which wild values do not move."""
    return float(np.median(np.abs(values)))
