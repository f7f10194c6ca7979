"""What the figures of transport are drawn from, thinned to plain lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.properties.transport.conductivity import CM2_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.properties.transport.arrhenius import Arrhenius
    from fire_core.properties.transport.ensemble import Ensemble
    from fire_core.properties.transport.lines import ArrheniusLines
    from fire_core.properties.transport.self_diffusion import Diffusion, Estimate
    from fire_core.records import JsonDict

POINTS: Final = 80
"""Of a curve, evenly spaced in the logarithm of time."""
LINE_POINTS: Final = 60


def ensemble_curve(ensemble: Ensemble, mobile: str) -> JsonDict:
    """Return displacements and fits of one temperature; ps and Å²."""
    last = max(1, int(0.8 * ensemble.n_frames))
    lags = np.unique(np.geomspace(1, last, POINTS).round().astype(int))
    msds = {mobile: ensemble.tracer.msd, **ensemble.others}
    return {
        "temperature_k": ensemble.temperature,
        "replicas": len(ensemble.runs),
        "length_ps": ensemble.runs[0].length,
        "lags_ps": (lags * ensemble.interval).tolist(),
        "msd": {element: msd[lags].tolist() for element, msd in msds.items()},
        "msd_charge": ensemble.charge.msd[lags].tolist(),
        "fit": _fit(ensemble.tracer, ensemble.interval),
        "fit_charge": _fit(ensemble.charge, ensemble.interval),
    }


def arrhenius_curve(
    ensembles: Sequence[Ensemble],
    lines: ArrheniusLines,
    temperatures: Sequence[float],
) -> JsonDict:
    """Return points and lines: D in cm²/s, σT in K S/cm."""
    parts = (
        ("self_diffusion", lines.diffusion, [e.tracer.estimate for e in ensembles]),
        ("conductivity", lines.conductivity, [e.conductivity for e in ensembles]),
        (
            "conductivity_nernst_einstein",
            lines.without_haven,
            [e.without_haven for e in ensembles],
        ),
    )
    ends = [*temperatures, *(e.temperature for e in ensembles)]
    fine = 1.0 / np.linspace(1 / max(ends), 1 / min(ends), LINE_POINTS)
    return {
        name: {
            "points": [
                _point(e.temperature, estimate, name)
                for e, estimate in zip(ensembles, estimates, strict=True)
                if estimate.value is not None
            ],
            "line": None if line is None else _line(line, fine),
        }
        for name, line, estimates in parts
    }


def _fit(diffusion: Diffusion, interval: float) -> JsonDict | None:
    window = diffusion.window
    if window is None:
        return None
    return {
        "from_ps": float(window.lags[0]) * interval,
        "to_ps": float(window.lags[-1]) * interval,
        "slope": window.line.slope / interval,
        "intercept": window.line.intercept,
        "exponent": _finite(window.exponent),
        "exponent_error": _finite(window.exponent_error),
        "diffusive": diffusion.tensor is not None,
        "variance_widened": diffusion.widened,
        "tensor_cm2_per_s": None
        if diffusion.tensor is None
        else (diffusion.tensor * CM2_PER_S).tolist(),
    }


def _point(temperature: float, estimate: Estimate, name: str) -> list[float]:
    scale = CM2_PER_S if name == "self_diffusion" else temperature
    numbers = (estimate.value, estimate.low, estimate.high)
    return [temperature, *(scale * float(n or 0.0) for n in numbers)]


def _line(line: Arrhenius, temperatures: np.ndarray) -> JsonDict:
    read = np.array([line.at(float(t)) for t in temperatures])
    return {
        "temperatures_k": temperatures.tolist(),
        "values": read[:, 0].tolist(),
        "low": read[:, 2].tolist(),
        "high": read[:, 3].tolist(),
        "energy_ev": line.energy,
        "energy_error_ev": line.energy_error,
    }


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
