"""Compute an impedance spectrum; lay a measured one over it and fit it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.errors import PropertyError
from fire_core.properties.impedance.circuits import Circuit, impedance, pellet_circuit
from fire_core.properties.impedance.fit import fit_circuit
from fire_core.properties.impedance.kramers_kronig import check_kramers_kronig
from fire_core.properties.impedance.settings import (
    GivenConductivity,
    ImpedanceConfig,
    MeasuredSpectrum,
    TransportConductivity,
)
from fire_core.properties.impedance.spectra import read_spectrum
from fire_core.properties.impedance.values import (
    Conductivity,
    computed_values,
    fitted_values,
    kramers_kronig_value,
)
from fire_core.records import PropertyResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.properties.measurement import Measurement
    from fire_core.records import PropertyValue

CONDUCTIVITIES: Final = ("conductivity", "conductivity_nernst_einstein")
"""Of a transport measurement, the better one first."""
NOTES: Final = {
    "conductivity": "",
    "conductivity_nernst_einstein": "the transport measurement knows the conductivity "
    "of Nernst and Einstein alone here: as if ions did not notice each other",
}


def measure(measurement: Measurement) -> PropertyResult:
    """Compute the spectrum of the pellet; fit the measured one, where there is one."""
    settings = measurement.settings(ImpedanceConfig)
    computed: Circuit | None = None
    found: list[PropertyResult] = []
    if settings.conductivity is not None:
        bulk = choose_conductivity(measurement, settings.conductivity)
        computed = pellet_circuit(settings, bulk.value)
        found.append(_compute(settings, bulk, computed))
    if settings.measured is not None:
        found.append(_fit(measurement, settings, settings.measured, computed))
    return PropertyResult(
        values=tuple(value for part in found for value in part.values),
        curves={key: curve for part in found for key, curve in part.curves.items()},
        notes=tuple(note for part in found for note in part.notes),
    )


def _compute(
    settings: ImpedanceConfig, bulk: Conductivity, circuit: Circuit
) -> PropertyResult:
    f = settings.frequencies
    n = round(float(np.log10(f.high / f.low)) * f.per_decade) + 1
    frequencies = np.geomspace(f.low, f.high, n)
    return PropertyResult(
        values=tuple(computed_values(settings, bulk, circuit)),
        curves={
            "parameters": circuit.named(),
            "computed": _points(frequencies, impedance(circuit, frequencies)),
        },
        notes=(
            "computed from the conductivity; permittivity, geometry, grain boundaries "
            "and electrodes are assumed as configured",
            f"computed circuit {circuit.text}",
            *filter(None, (bulk.note,)),
        ),
    )


def choose_conductivity(
    measurement: Measurement, source: GivenConductivity | TransportConductivity
) -> Conductivity:
    """Return the bulk's conductivity: given, or a transport measurement's."""
    if isinstance(source, GivenConductivity):
        return Conductivity(source.value, source.error, source.temperature)
    name, result = measurement.inputs.earlier()
    found: dict[float, PropertyValue] = {
        float(value.conditions["temperature_k"]): value
        for quantity in reversed(CONDUCTIVITIES)
        for value in result.values
        if value.name == quantity
        and value.value is not None
        and "temperature_k" in value.conditions
    }
    wanted = source.temperature
    if wanted is None and len(found) == 1:
        wanted = next(iter(found))
    near = [t for t in found if wanted is not None and abs(t - wanted) < 0.5]
    if not near:
        there = ", ".join(f"{t:g}" for t in sorted(found)) or "none"
        asked = "no temperature" if source.temperature is None else f"{wanted:g} K"
        msg = (
            f"{name} has a conductivity at these temperatures: {there} K; "
            f"asked for was {asked}. Set conductivity.temperature to one of them"
        )
        raise PropertyError(msg)
    value = found[near[0]]
    if value.unit != "S/cm" or not value.value or value.value <= 0:
        msg = (
            f"expected a positive conductivity in S/cm, got {value.value} {value.unit}"
        )
        raise PropertyError(msg)
    return Conductivity(value.value, value.error, near[0], NOTES[value.name])


def _fit(
    measurement: Measurement,
    settings: ImpedanceConfig,
    measured: MeasuredSpectrum,
    computed: Circuit | None,
) -> PropertyResult:
    data = measurement.inputs.file(measured.file)
    name = Path(measured.file).name
    spectrum = read_spectrum(data, measured.instrument, name)
    spectrum = spectrum.between(measured.low, measured.high)
    test = check_kramers_kronig(spectrum.frequencies, spectrum.impedance)
    typical = float(np.median(np.abs(spectrum.impedance)))
    guess = pellet_circuit(settings, settings.thickness / (settings.area * typical))
    start = None if measured.circuit else computed or guess
    text = measured.circuit or guess.text
    fit = fit_circuit(
        text,
        spectrum.frequencies,
        spectrum.impedance,
        start=start,
        seed=measurement.request.seed,
    )
    low, high = spectrum.frequencies[[0, -1]].tolist()
    fine = np.geomspace(low, high, 200)
    values = [kramers_kronig_value(test, measured)]
    values += fitted_values(settings, measured, fit)
    curves = {
        "measured": _points(spectrum.frequencies, spectrum.impedance),
        "fit": _points(fine, impedance(fit.circuit, fine)),
        "kramers_kronig": {
            "frequency": spectrum.frequencies.tolist(),
            "real": test.residuals.real.tolist(),
            "imaginary": test.residuals.imag.tolist(),
        },
    }
    note = f"fitted circuit {text}, residual {100 * fit.residual:.2g} % of |Z|"
    return PropertyResult(tuple(values), curves, (note,))


def _points(
    frequencies: NDArray[np.float64], z: NDArray[np.complex128]
) -> dict[str, Any]:
    return {
        "frequency": frequencies.tolist(),
        "real": z.real.tolist(),
        "imaginary": z.imag.tolist(),
    }
