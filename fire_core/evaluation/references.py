"""Reference energies: what two theories' energies differ by for each element.

Total energies of two theories cannot be mixed: they differ by hundreds of eV per
atom, nearly all of it a constant for each element. That constant is fitted by least
squares and moved into the model's atomic energies, as a linear fit of atomic
reference energies is for any potential trained on several sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ase import Atoms

    from fire_core.records import LabelledStructure


def fit_reference_shift(
    labelled: Sequence[LabelledStructure], predicted: Sequence[Label]
) -> dict[str, float]:
    """Return the per-element energy by which labels exceed predictions, eV.

    Least squares over the structures, each row divided by its number of atoms. One
    composition cannot tell its elements apart; the solution of smallest norm is
    taken then, which is exact for that composition.
    """
    symbols = sorted({s for i in labelled for s in i.atoms.get_chemical_symbols()})
    sizes = np.array([len(item.atoms) for item in labelled], float)
    counts = np.array(
        [[item.atoms.symbols.count(s) for s in symbols] for item in labelled], float
    )
    residual = np.array(
        [i.label.energy - p.energy for i, p in zip(labelled, predicted, strict=True)]
    )
    solution, *_ = np.linalg.lstsq(
        counts / sizes[:, None], residual / sizes, rcond=1e-8
    )
    return dict(zip(symbols, (float(v) for v in solution), strict=True))


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
