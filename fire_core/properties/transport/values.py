"""Transport in the units and names that are reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.properties.transport.conductivity import CM2_PER_S
from fire_core.properties.transport.self_diffusion import Diffusion, Estimate
from fire_core.properties.values import with_interval
from fire_core.records import PropertyValue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fire_core.properties.transport.arrhenius import Arrhenius
    from fire_core.properties.transport.ensemble import Ensemble
    from fire_core.properties.transport.lines import ArrheniusLines

    Conditions = Mapping[str, float | str]

NO_LINE: Final = "needs diffusion at two temperatures or more"


def ensemble_values(ensemble: Ensemble, mobile: str) -> list[PropertyValue]:
    """Return the numbers of one temperature."""
    where: Conditions = {"temperature_k": ensemble.temperature, "species": mobile}
    tracer = ensemble.tracer
    values = [_value("self_diffusion", tracer.estimate, "cm²/s", where)]
    if tracer.tensor is None:
        nothing = Estimate(None, note="no self-diffusion to compute it from")
        values.append(_value("conductivity", nothing, "S/cm", where))
    else:
        by_tracer = ensemble.without_haven
        values += [
            *_axes(tracer, tracer.tensor, where),
            _value("charge_diffusion", ensemble.charge.estimate, "cm²/s", where),
            _value("haven_ratio", ensemble.haven, "", where),
            _value("conductivity_nernst_einstein", by_tracer, "S/cm", where),
            _value("conductivity", ensemble.conductivity, "S/cm", where),
        ]
    last = ensemble.last_lag
    displacements = {mobile: tracer.msd, **ensemble.others}
    return values + [
        PropertyValue(
            "mean_squared_displacement",
            float(msd[last]),
            "Å²",
            conditions={
                "temperature_k": ensemble.temperature,
                "species": element,
                "after_ps": round(last * ensemble.interval, 6),
            },
        )
        for element, msd in displacements.items()
    ]


def line_values(
    lines: ArrheniusLines,
    ensembles: Sequence[Ensemble],
    temperatures: Sequence[float],
    mobile: str,
) -> list[PropertyValue]:
    """Return activation energies and what the lines say of other temperatures."""
    if len(ensembles) < 2:
        return []
    species: Conditions = {"species": mobile}
    named = (
        ("self_diffusion", lines.diffusion, "cm²/s"),
        ("conductivity_nernst_einstein", lines.without_haven, "S/cm"),
        ("conductivity", lines.conductivity, "S/cm"),
    )
    if not any(line for _, line, _ in named):
        return [_energy(None, {"of": "self_diffusion", **species})]
    values = [_energy(line, {"of": name, **species}) for name, line, _ in named]
    for temperature in temperatures:
        where: Conditions = {"temperature_k": temperature, **species}
        values += [_read(name, line, unit, where) for name, line, unit in named]
    return values


def _value(
    name: str, estimate: Estimate, unit: str, where: Conditions
) -> PropertyValue:
    scale = CM2_PER_S if unit == "cm²/s" else 1.0
    if estimate.value is None:
        return PropertyValue(name, None, unit, conditions=where, note=estimate.note)
    numbers = (estimate.value, estimate.error, estimate.low, estimate.high)
    value, error, low, high = (None if n is None else float(scale * n) for n in numbers)
    return PropertyValue(name, value, unit, error, low, high, where, estimate.note)


def _axes(
    tracer: Diffusion, tensor: NDArray[np.float64], where: Conditions
) -> list[PropertyValue]:
    """Return the tensor's diagonal, and its largest over its smallest eigenvalue."""
    error = np.sqrt(2.0 / tracer.axis_dof)
    values = []
    for axis, number in zip("xyz", np.diag(tensor), strict=True):
        size = float(number) * CM2_PER_S
        value = PropertyValue(
            f"self_diffusion_{axis}", size, "cm²/s", abs(size) * error, conditions=where
        )
        values.append(with_interval(value))
    eigenvalues = np.linalg.eigvalsh(tensor)
    if eigenvalues[0] > 0:
        ratio = float(eigenvalues[-1] / eigenvalues[0])
        note = f"isotropic ions of this run give {expected_anisotropy(error):.2f} or so"
    else:
        ratio, note = None, "no diffusion along one axis"
    anisotropy = PropertyValue("anisotropy", ratio, "", conditions=where, note=note)
    return [*values, anisotropy]


def expected_anisotropy(error: float) -> float:
    """Return the ratio of a noisy isotropic tensor's extreme eigenvalues, about.

    Its elements scatter by `error` relative to the diagonal (off it by 1/√2 of that),
    so its extreme eigenvalues lie 1.47 errors either side: the Gaussian orthogonal
    ensemble of three dimensions (M. L. Mehta, Random Matrices), to first order.
    """
    return float((1 + 1.47 * error) / max(1 - 1.47 * error, 1e-3))


def _energy(line: Arrhenius | None, where: Conditions) -> PropertyValue:
    name = "activation_energy"
    if line is None:
        return PropertyValue(name, None, "eV", conditions=where, note=NO_LINE)
    value = PropertyValue(name, line.energy, "eV", line.energy_error, conditions=where)
    return with_interval(value)


def _read(
    name: str, line: Arrhenius | None, unit: str, where: Conditions
) -> PropertyValue:
    if line is None:
        return PropertyValue(name, None, unit, conditions=where, note=NO_LINE)
    numbers = np.array(line.at(float(where["temperature_k"])))
    if unit == "S/cm":
        numbers /= float(where["temperature_k"])
    value, error, low, high = numbers.tolist()
    return PropertyValue(
        name, value, unit, error, low, high, where, "read from the Arrhenius line"
    )
