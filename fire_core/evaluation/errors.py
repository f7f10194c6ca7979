"""Errors of predicted labels against reference labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.records import ErrorSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.records import Label, LabelledStructure


def summarise_errors(
    predicted: Sequence[Label], reference: Sequence[LabelledStructure]
) -> ErrorSummary:
    """Return RMSE and MAE of energies, forces and stresses.

    Energies are compared per atom (meV/atom), forces per Cartesian component
    (meV/Å), stresses per Voigt component (meV/Å³) where both sides have one.

    Raises
    ------
    ValueError
        There is nothing to compare, or the two lists differ in length.
    """
    if not reference:
        msg = "expected at least one labelled structure to compare with, got none"
        raise ValueError(msg)
    energies, forces, stresses, symbols = [], [], [], []
    for label, item in zip(predicted, reference, strict=True):
        energies.append((label.energy - item.label.energy) / len(item.atoms))
        forces.append(label.forces - item.label.forces)
        symbols += item.atoms.get_chemical_symbols()
        if label.stress is not None and item.label.stress is not None:
            stresses.append(label.stress - item.label.stress)
    energy = 1e3 * np.array(energies)
    force = 1e3 * np.concatenate(forces)
    species = np.array(symbols)
    return ErrorSummary(
        n_structures=len(reference),
        n_atoms=len(symbols),
        energy_rmse=_rmse(energy),
        energy_mae=float(np.abs(energy).mean()),
        force_rmse=_rmse(force),
        force_mae=float(np.abs(force).mean()),
        force_max=float(np.abs(force).max()),
        stress_mae=float(1e3 * np.abs(stresses).mean()) if stresses else None,
        force_rmse_by_element={
            str(s): _rmse(force[species == s]) for s in np.unique(species)
        },
    )


def _rmse(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
