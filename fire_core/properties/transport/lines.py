"""Arrhenius lines through what the temperatures gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fire_core.properties.transport.arrhenius import Arrhenius, fit_arrhenius
from fire_core.properties.transport.conductivity import CM2_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.properties.transport.ensemble import Ensemble
    from fire_core.properties.transport.self_diffusion import Estimate


@dataclass(frozen=True, slots=True, eq=False)
class ArrheniusLines:
    """Lines through D (cm²/s), and σT (K S/cm) without and with the Haven ratio.

    Each is None where fewer than two temperatures have a value.
    """

    diffusion: Arrhenius | None
    without_haven: Arrhenius | None
    conductivity: Arrhenius | None


def fit_lines(ensembles: Sequence[Ensemble]) -> ArrheniusLines:
    """Fit each line through the temperatures that have a value."""
    temperatures = [e.temperature for e in ensembles]
    return ArrheniusLines(
        diffusion=_fit(
            temperatures,
            [e.tracer.estimate for e in ensembles],
            [CM2_PER_S] * len(ensembles),
        ),
        without_haven=_fit(
            temperatures, [e.without_haven for e in ensembles], temperatures
        ),
        conductivity=_fit(
            temperatures, [e.conductivity for e in ensembles], temperatures
        ),
    )


def _fit(
    temperatures: Sequence[float],
    estimates: Sequence[Estimate],
    factors: Sequence[float],
) -> Arrhenius | None:
    points = [
        (temperature, factor * estimate.value, estimate.dof)
        for temperature, estimate, factor in zip(
            temperatures, estimates, factors, strict=True
        )
        if estimate.value is not None
    ]
    if len(points) < 2:
        return None
    where, values, dofs = np.array(points).T
    return fit_arrhenius(where, values, dofs)
