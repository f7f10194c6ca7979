"""Conductivity and Haven ratio from self-diffusion and charge diffusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.constants import e, k
from scipy.stats import f

from fire_core.properties.transport.self_diffusion import Estimate

if TYPE_CHECKING:
    from fire_core.properties.transport.self_diffusion import Diffusion

CM2_PER_S: Final = 1e-4
"""Å²/ps in cm²/s."""


def conductivity_per_diffusion(
    n_ions: int, volume: float, charge: float, temperature: float
) -> float:
    """Return σ / D = n q² e² / (V k_B T), (S/cm) / (Å²/ps).

    The Nernst-Einstein equation; with the charge diffusion coefficient it is exact
    (R. Kubo, J. Phys. Soc. Jpn. 12, 570 (1957)).

    Parameters
    ----------
    n_ions
        Mobile ions in the cell.
    volume
        Of the cell, Å³.
    charge
        Of one ion, e.
    temperature
        K.
    """
    density = n_ions / (volume * 1e-30)
    siemens_per_metre = density * (charge * e) ** 2 / (k * temperature) * 1e-8
    return float(siemens_per_metre / 100.0)


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """Return an estimate in another unit."""
    if estimate.value is None:
        return estimate
    numbers = (estimate.value, estimate.error, estimate.low, estimate.high)
    value, error, low, high = (None if n is None else factor * n for n in numbers)
    return Estimate(value, error, low, high, estimate.dof, estimate.note)


def haven_ratio(alone: Diffusion, together: Diffusion) -> Estimate:
    """Return D*/D_σ; its interval is that of a ratio of two mean squares.

    Both are means of squares, so that their ratio over the true one follows Fisher's F
    distribution. They come from the same run, but D* averages over all ions, D_σ is of
    one sum, so that the error is nearly that of D_σ alone.
    """
    tracer, charge = alone.estimate, together.estimate
    if tracer.value is None or charge.value is None:
        which = "self-diffusion" if tracer.value is None else "charge diffusion"
        return Estimate(None, note=f"{which}: {tracer.note or charge.note}")
    value = tracer.value / charge.value
    dofs = (tracer.dof, charge.dof)
    low, high = (value / float(f.ppf(p, *dofs)) for p in (0.975, 0.025))
    error = value * np.sqrt(2.0 / dofs[0] + 2.0 / dofs[1])
    return Estimate(value, float(error), low, high, min(dofs), "")
