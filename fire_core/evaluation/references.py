"""Reference energies: what two theories' energies differ by for each element.

Total energies of two theories cannot be mixed: they differ by hundreds of eV per
atom, nearly all of it a constant for each element. That constant is fitted by least
squares and moved into the model's atomic energies, as a linear fit of atomic
reference energies is for any potential trained on several sets.

What compositions hardly tell apart, such as two elements whose ratio differs by one
vacancy in forty frames, noise decides. A ridge keeps that small, and the standard
errors say it (`evaluation.ridge`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.evaluation.ridge import fit_ridge
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.records import LabelledStructure

LARGE: Final = 0.1  # eV
"""Standard error from which on an element's own shift is called undetermined: in a
composition that has 5 % more of the element it is 5 meV/atom."""


@dataclass(frozen=True, slots=True)
class ReferenceFit:
    """Per-element energies by which labels exceed predictions.

    Attributes
    ----------
    shift
        eV for each element.
    undetermined
        Elements whose own shift the compositions do not fix, or to no better than
        `LARGE`: only sums over compositions like those fitted are right. Empty for a
        complete fit.
    rms_before, rms_after
        Root mean square of the residual energy before and after, eV/atom.
    standard_errors
        Of each shift, eV; none of what the compositions do not fix at all, and none
        where no spare structures tell how well a shift fits.
    unshifted
        Elements that the model knows and no structure holds: they stay on the
        model's own scale.
    """

    shift: dict[str, float]
    undetermined: tuple[str, ...]
    rms_before: float
    rms_after: float
    standard_errors: dict[str, float] = field(default_factory=dict)
    unshifted: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the fit as one line for a person."""
        shown = ", ".join(self._show(s) for s in sorted(self.shift))
        text = (
            f"reference shift in eV per element: {shown}; residual "
            f"{self.rms_before:.3f} → {self.rms_after:.4f} eV/atom"
        )
        if self.undetermined:
            text += (
                f"; the compositions do not tell {', '.join(self.undetermined)} apart, "
                "only their sum for compositions like these is right"
            )
        largest = max(map(abs, self.shift.values()), default=0.0)
        if self.unshifted and largest > LARGE:
            text += (
                f"; elements that no structure holds ({_shorten(self.unshifted)}) stay "
                "on the model's scale: with them beside these, energies of different "
                "compositions cannot be compared"
            )
        return text

    def _show(self, symbol: str) -> str:
        text = f"{symbol} {self.shift[symbol]:+.3f}"
        if symbol in self.standard_errors:
            text += f" ± {self.standard_errors[symbol]:.2g}"
        return text


def fit_references(
    labelled: Sequence[LabelledStructure],
    predicted: Sequence[Label],
    *,
    known: Mapping[str, float] | None = None,
    ridge: bool = False,
) -> ReferenceFit:
    """Fit the per-element energy by which labels exceed predictions.

    Least squares over the structures, each row divided by its number of atoms. Of
    shifts that fit equally well the smallest are taken.

    Parameters
    ----------
    labelled, predicted
        Structures with their labels, and what the model says of each.
    known
        Shifts that isolated atoms give, eV. A fit to compounds goes before them; they
        decide what compositions cannot.
    ridge
        Draw what the data hardly say towards the model's own scale, or towards
        `known`: for energies that are trained on. Without it the residual does not
        depend on the scale of the labels, as a measure of errors must not.

    Raises
    ------
    ValueError
        There is nothing to fit, or the two lists differ in length.
    """
    if not labelled:
        msg = "expected at least one labelled structure to fit references, got none"
        raise ValueError(msg)
    symbols, fractions, residual = _system(labelled, predicted)
    expected = known or {}
    prior = np.array([expected.get(s, 0.0) for s in symbols])
    compositions = [_composition(item.atoms) for item in labelled]
    fit = fit_ridge(
        fractions,
        residual - fractions @ prior,
        compositions,
        known=np.array([s in expected for s in symbols]),
        ridge=ridge,
    )
    shift = prior + fit.solution
    loose = [
        s
        for s, free, error in zip(symbols, fit.free, fit.errors, strict=True)
        if free or LARGE < error < np.inf
    ]
    errors = {
        s: float(error)
        for s, free, error in zip(symbols, fit.free, fit.errors, strict=True)
        if not free and s not in expected and np.isfinite(error)
    }
    return ReferenceFit(
        shift=dict(zip(symbols, shift.tolist(), strict=True)),
        undetermined=tuple(loose),
        rms_before=_rms(residual),
        rms_after=_rms(residual - fractions @ shift),
        standard_errors=errors,
    )


def shift_references(
    labelled: Sequence[LabelledStructure],
    predicted: Sequence[Label],
    shift: Mapping[str, float],
) -> ReferenceFit:
    """Return a shift that is known already with the residuals it leaves."""
    symbols, fractions, residual = _system(labelled, predicted)
    solution = np.array([shift.get(s, 0.0) for s in symbols])
    left = _rms(residual - fractions @ solution)
    return ReferenceFit(dict(shift), (), _rms(residual), left)


def shift_energies(
    labels: Sequence[Label], frames: Sequence[Atoms], shift: Mapping[str, float]
) -> list[Label]:
    """Return labels with each element's shift (eV) added to the energy."""
    return [
        Label(
            label.energy + sum(shift.get(s, 0.0) for s in frame.get_chemical_symbols()),
            label.forces,
            label.stress,
        )
        for label, frame in zip(labels, frames, strict=True)
    ]


def _system(
    labelled: Sequence[LabelledStructure], predicted: Sequence[Label]
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Return symbols, their fractions in each structure, residuals in eV/atom."""
    symbols = sorted({s for i in labelled for s in i.atoms.get_chemical_symbols()})
    sizes = np.array([len(item.atoms) for item in labelled], float)
    counts = np.array(
        [[item.atoms.symbols.count(s) for s in symbols] for item in labelled], float
    )
    residual = np.array(
        [i.label.energy - p.energy for i, p in zip(labelled, predicted, strict=True)]
    )
    return symbols, counts / sizes[:, None], residual / sizes


def _composition(atoms: Atoms) -> tuple[tuple[str, float], ...]:
    counts = Counter(atoms.get_chemical_symbols())
    return tuple(sorted((s, round(n / len(atoms), 9)) for s, n in counts.items()))


def _shorten(symbols: Sequence[str], most: int = 6) -> str:
    if len(symbols) <= most:
        return ", ".join(symbols)
    return f"{', '.join(symbols[:most])} and {len(symbols) - most} more"


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
