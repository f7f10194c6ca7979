"""The numbers of an impedance spectrum: of the computed one, and out of a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fire_core.errors import PropertyError
from fire_core.properties.impedance.circuits import (
    EPSILON_0,
    parameter_names,
    parameter_units,
)
from fire_core.properties.impedance.fit import effective_capacitance
from fire_core.properties.values import with_interval
from fire_core.records import PropertyValue

if TYPE_CHECKING:
    from fire_core.properties.impedance.circuits import Circuit
    from fire_core.properties.impedance.fit import SpectrumFit
    from fire_core.properties.impedance.kramers_kronig import KramersKronig
    from fire_core.properties.impedance.settings import (
        ImpedanceConfig,
        MeasuredSpectrum,
    )


@dataclass(frozen=True, slots=True)
class Conductivity:
    """A bulk conductivity, S/cm, its standard error (None: unknown), at K; a remark."""

    value: float
    error: float | None
    temperature: float
    note: str = ""


def relaxation_frequency(conductivity: float, permittivity: float) -> float:
    """Return σ / (2π ε₀ ε), Hz, the top of the bulk's semicircle in any geometry.

    Parameters
    ----------
    conductivity
        S/cm.
    permittivity
        Relative.
    """
    return float(conductivity / (2 * math.pi * EPSILON_0 * permittivity))


def computed_values(
    settings: ImpedanceConfig, bulk: Conductivity, circuit: Circuit
) -> list[PropertyValue]:
    """Return what the circuit of the pellet says of it."""
    relative = (bulk.error or 0.0) / bulk.value
    known = bulk.error is not None
    conditions = {"temperature_k": bulk.temperature}

    def scaled(name: str, value: float, unit: str) -> PropertyValue:
        """Return a value that is proportional to the conductivity or its inverse."""
        error = relative * value if known else None
        return with_interval(
            PropertyValue(name, value, unit, error, conditions=conditions)
        )

    parts = circuit.named()
    resistance, boundary = parts["R1"], parts.get("R2", 0.0)
    frequency = relaxation_frequency(bulk.value, settings.permittivity)
    total = settings.thickness / (settings.area * (resistance + boundary))
    values = [
        scaled("conductivity_bulk", bulk.value, "S/cm"),
        scaled("resistance_bulk", resistance, "Ω"),
        PropertyValue("capacitance_bulk", parts["C1"], "F", conditions=conditions),
        scaled("frequency_bulk", frequency, "Hz"),
    ]
    grain = settings.grain_boundary
    if grain is not None:
        ratio = grain.conductivity_ratio * settings.permittivity
        ratio /= grain.permittivity or settings.permittivity
        values += [
            scaled("resistance_grain_boundary", boundary, "Ω"),
            scaled("frequency_grain_boundary", frequency * ratio, "Hz"),
        ]
    return [*values, scaled("conductivity_total", total, "S/cm")]


def kramers_kronig_value(
    test: KramersKronig, measured: MeasuredSpectrum
) -> PropertyValue:
    """Return the residual of the lin-KK test and what it means."""
    limit = measured.kramers_kronig_limit
    verdict = (
        "consistent: linear, causal and stable within the limit of"
        if test.rms <= limit
        else "not consistent: do not trust a fit; the limit is"
    )
    note = f"{verdict} {100 * limit:g} %; {test.n_elements} RC elements"
    return PropertyValue("kramers_kronig_residual", 100 * test.rms, "%", note=note)


def fitted_values(
    settings: ImpedanceConfig, measured: MeasuredSpectrum, fit: SpectrumFit
) -> list[PropertyValue]:
    """Return a fit's parameters and the conductivities that they mean."""
    names = parameter_names(fit.circuit.text)
    if measured.bulk not in names or not measured.bulk.startswith("R"):
        msg = (
            f"expected `bulk` to be a resistance of {fit.circuit.text}, got "
            f"{measured.bulk!r}"
        )
        raise PropertyError(msg)
    values = [
        _parameter(name, value, error, unit)
        for name, value, error, unit in zip(
            names,
            fit.circuit.values,
            fit.errors,
            parameter_units(fit.circuit.text),
            strict=True,
        )
    ]
    across = [measured.bulk]
    values.append(_conductivity("fitted_conductivity_bulk", settings, fit, across))
    parts = fit.circuit.named()
    if measured.circuit is None and settings.grain_boundary is not None:
        across.append("R2")
        values.append(_conductivity("fitted_conductivity_total", settings, fit, across))
        if (swapped := _is_swapped(parts)) is not None:
            values.append(swapped)
    if measured.circuit is None:
        length = settings.thickness
        if settings.grain_boundary is not None:
            length *= 1 - settings.grain_boundary.thickness_share
        error = fit.errors[names.index("C1")]
        scale = length / (EPSILON_0 * settings.area)
        values.append(
            with_interval(
                PropertyValue(
                    "fitted_permittivity_bulk", parts["C1"] * scale, "", error * scale
                )
            )
        )
    return values


def _parameter(name: str, value: float, error: float, unit: str) -> PropertyValue:
    note = "" if error < abs(value) / 2 else "the spectrum does not determine it"
    found = PropertyValue(f"fit_{name}", value, unit, error, note=note)
    return found if note else with_interval(found)


def _conductivity(
    name: str, settings: ImpedanceConfig, fit: SpectrumFit, across: list[str]
) -> PropertyValue:
    resistance, error = fit.sum_error(across)
    length = settings.thickness
    if across == ["R1"] and settings.grain_boundary is not None:
        length *= 1 - settings.grain_boundary.thickness_share
    value = length / (settings.area * resistance)
    return with_interval(
        PropertyValue(
            name,
            value,
            "S/cm",
            value * error / resistance,
            note=f"from {' + '.join(across)}",
        )
    )


def _is_swapped(parts: dict[str, float]) -> PropertyValue | None:
    """Return a warning where the branch called bulk is slower than the boundaries'."""
    if "C2" in parts:
        boundary = parts["C2"]
    else:
        q, alpha = parts["CPE2_0"], parts["CPE2_1"]
        boundary = effective_capacitance(parts["R2"], q, alpha)
    if boundary >= parts["C1"]:
        return None
    return PropertyValue(
        "capacitance_grain_boundary",
        boundary,
        "F",
        note="smaller than the bulk's: R1 and R2 may have changed places",
    )
