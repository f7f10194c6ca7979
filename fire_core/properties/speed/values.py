"""The numbers of a measurement of speed: times, exponents, ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fire_core.properties.speed.timing import fit_power_law
from fire_core.properties.values import with_interval
from fire_core.records import PropertyValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.properties.speed.timing import Timing
    from fire_core.records import JsonDict

LARGE: Final = 250
"""Atoms from which the model's exponent is fitted: below, a step costs its overhead."""


def speed_values(
    model: Sequence[Timing], labels: Sequence[Timing], batches: Sequence[Timing]
) -> list[PropertyValue]:
    """Return times by atoms, exponents, and how much longer a label takes."""
    values = [_time("step_time", t) for t in model]
    values += [_time("label_time", t) for t in labels]
    values += [
        PropertyValue(
            "step_time_per_replica",
            1e3 * t.median / t.replicas,
            "ms",
            conditions={"n_atoms": t.n_atoms // t.replicas, "replicas": t.replicas},
        )
        for t in batches
    ]
    for name, timings, start in (
        ("step_exponent", model, LARGE),
        ("label_exponent", labels, 0),
    ):
        law = fit_power_law(timings, from_atoms=start)
        if law is not None:
            note = f"time ∝ atoms^exponent, from {max(start, timings[0].n_atoms)} atoms"
            value = PropertyValue(name, law.exponent, "", law.error, note=note)
            values.append(with_interval(value))
    steps = {t.n_atoms: t.median for t in model}
    values += [
        PropertyValue(
            "label_to_step_ratio",
            t.median / steps[t.n_atoms],
            "",
            conditions={"n_atoms": t.n_atoms},
            note="time of a label divided by that of an MD step",
        )
        for t in labels
        if t.n_atoms in steps
    ]
    return values


def power_laws(model: Sequence[Timing], labels: Sequence[Timing]) -> JsonDict:
    """Return the fitted lines of both, plain numbers, None where there is none."""
    laws: JsonDict = {}
    for name, timings, start in (("model", model, LARGE), ("labels", labels, 0)):
        law = fit_power_law(timings, from_atoms=start)
        laws[name] = law and {
            "exponent": law.exponent,
            "error": law.error,
            "prefactor": law.prefactor,
            "from": start,
        }
    return laws


def _time(name: str, t: Timing) -> PropertyValue:
    quartiles = f"{1e3 * t.low:.3g} … {1e3 * t.high:.3g} ms"
    return PropertyValue(
        name,
        1e3 * t.median,
        "ms",
        conditions={"n_atoms": t.n_atoms},
        note=f"median of {t.repeats}, quartiles {quartiles}",
    )
