"""Reference energies: what two theories' energies differ by for each element.

Total energies of two theories cannot be mixed: they differ by hundreds of eV per
atom, nearly all of it a constant for each element. That constant is fitted by least
squares and moved into the model's atomic energies, as a linear fit of atomic
reference energies is for any potential trained on several sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.records import LabelledStructure

RANK_TOLERANCE: Final = 1e-8  # of the largest singular value of the compositions


@dataclass(frozen=True, slots=True)
class ReferenceFit:
    """Per-element energies by which labels exceed predictions.

    Attributes
    ----------
    shift
        eV for each element.
    undetermined
        Elements whose own shift the compositions do not fix: only sums over
        compositions like those fitted are. Empty for a complete fit.
    rms_before, rms_after
        Root mean square of the residual energy before and after, eV/atom.
    """

    shift: dict[str, float]
    undetermined: tuple[str, ...]
    rms_before: float
    rms_after: float

    def describe(self) -> str:
        """Return the fit as one line for a person."""
        shown = ", ".join(f"{s} {v:+.3f}" for s, v in sorted(self.shift.items()))
        text = (
            f"reference shift in eV per element: {shown}; residual "
            f"{self.rms_before:.3f} → {self.rms_after:.4f} eV/atom"
        )
        if self.undetermined:
            text += (
                f"; the compositions do not tell {', '.join(self.undetermined)} apart, "
                "only their sum for compositions like these is right"
            )
        return text


def fit_references(
    labelled: Sequence[LabelledStructure], predicted: Sequence[Label]
) -> ReferenceFit:
    """Fit the per-element energy by which labels exceed predictions.

    Least squares over the structures, each row divided by its number of atoms. Where
    the compositions cannot tell elements apart, the solution of smallest norm is
    taken, which is exact for compositions in the span of those fitted.

    Raises
    ------
    ValueError
        There is nothing to fit, or the two lists differ in length.
    """
    if not labelled:
        msg = "expected at least one labelled structure to fit references, got none"
        raise ValueError(msg)
    symbols, fractions, residual = _system(labelled, predicted)
    left, values, right = np.linalg.svd(fractions, full_matrices=False)
    kept = values > RANK_TOLERANCE * values[0]
    rows = right[kept]
    solution = rows.T @ ((left[:, kept].T @ residual) / values[kept])
    share = np.linalg.norm(rows, axis=0)  # of each element's axis in the row space
    return ReferenceFit(
        shift=dict(zip(symbols, (float(v) for v in solution), strict=True)),
        undetermined=tuple(
            s for s, part in zip(symbols, share, strict=True) if part < 1 - 1e-6
        ),
        rms_before=_rms(residual),
        rms_after=_rms(residual - fractions @ solution),
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


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
