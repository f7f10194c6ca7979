"""Numbers and curve of an equation of state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase import units

from fire_core.properties.equation_of_state.fit import (
    birch_murnaghan,
    fit_equation_of_state,
)
from fire_core.properties.values import with_interval
from fire_core.records import PropertyResult, PropertyValue

if TYPE_CHECKING:
    from fire_core.records import JsonDict


def equation_values(points: JsonDict) -> PropertyResult:
    """Return the fitted constants of `volumes`, Å³/atom, and `energies`, eV/atom."""
    volumes, energies = np.array(points["volumes"]), np.array(points["energies"])
    fit = fit_equation_of_state(volumes, energies)
    names = (
        ("volume", "Å³/atom", fit.volume),
        ("energy", "eV/atom", fit.energy),
        ("bulk_modulus", "GPa", fit.bulk_modulus),
        ("bulk_modulus_derivative", "", fit.derivative),
    )
    fine = np.linspace(volumes.min(), volumes.max(), 100)
    modulus = fit.bulk_modulus * units.GPa
    line = birch_murnaghan(fine, fit.volume, fit.energy, modulus, fit.derivative)
    return PropertyResult(
        values=tuple(
            with_interval(PropertyValue(name, value, unit, error))
            for (name, unit, value), error in zip(names, fit.errors, strict=True)
        ),
        curves=points | {"fit": {"volumes": fine.tolist(), "energies": line.tolist()}},
        notes=(
            f"fit residual {fit.residual:.3f} meV/atom; errors are those of the fit "
            "alone",
        ),
    )
