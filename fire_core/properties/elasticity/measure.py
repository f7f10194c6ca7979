"""Measure an elastic tensor at 0 K."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from fire_core.progress import tracked
from fire_core.properties.elasticity.fit import (
    LINEAR,
    fit_slopes,
    fit_tensor,
    signed,
    state_name,
    unit_strain,
)
from fire_core.properties.elasticity.settings import ElasticityConfig
from fire_core.properties.elasticity.strains import (
    choose_strains,
    describe_frame,
    orient,
    relax_reference,
    strained_stress,
    stress_in_gpa,
)
from fire_core.properties.elasticity.tensor import NAMES
from fire_core.properties.elasticity.values import tensor_curves, tensor_values
from fire_core.properties.plain import atoms_to_json, json_to_atoms
from fire_core.records import PropertyResult, PropertyValue

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from fire_core.properties.elasticity.fit import ElasticTensor, Slopes
    from fire_core.properties.measurement import Measurement
    from fire_core.records import JsonDict


def measure(measurement: Measurement) -> PropertyResult:
    """Relax the cell, strain it both ways, fit stresses; every state is a part."""
    settings = measurement.settings(ElasticityConfig)

    @cache
    def calculator() -> Calculator:
        return measurement.inputs.backbone().calculator()

    def reference() -> JsonDict:
        measurement.log("relax cell and ions")
        relaxed = relax_reference(
            measurement.inputs.structure(),
            calculator(),
            force_tolerance=settings.force_tolerance,
            max_steps=settings.max_steps,
        )
        turned, _ = orient(relaxed, settings)
        turned.calc = calculator()
        return atoms_to_json(turned) | {"stress": stress_in_gpa(turned).tolist()}

    start = measurement.json_part("reference", reference)
    atoms = json_to_atoms(start)
    _, symmetry = orient(atoms, settings)
    modes, basis = choose_strains(symmetry, settings)
    sizes = signed(settings.strains)

    def stress(mode: int, size: float) -> list[float]:
        strain = unit_strain(mode, size)
        found = measurement.json_part(
            state_name(mode, size),
            lambda: strained_stress(atoms, strain, calculator(), settings),
        )
        return list(found["stress"])

    stresses = {}
    for mode in tracked(modes, "Strains"):
        measurement.log(f"strain {NAMES[mode]}")
        stresses[mode] = np.array([stress(mode, size) for size in sizes])
    slopes = fit_slopes(sizes, stresses, np.array(start["stress"]), settings.order)
    tensor = fit_tensor(slopes, basis)
    volume = PropertyValue("volume", atoms.get_volume() / len(atoms), "Å³/atom")
    points = {
        NAMES[mode]: {
            "strains": sizes.tolist(),
            "stresses": found.tolist(),
            "reference": start["stress"],
        }
        for mode, found in stresses.items()
    }
    return PropertyResult(
        values=(*tensor_values(tensor, {"temperature_k": 0.0}), volume),
        curves=tensor_curves(tensor)
        | {"points": points, "fit": {"bend": slopes.bend, "misfit": tensor.misfit}},
        notes=(
            describe_frame(symmetry, settings),
            "Voigt order xx, yy, zz, yz, xz, xy; engineering strains; stress positive "
            "in tension",
            *_judge(slopes, tensor),
        ),
    )


def _judge(slopes: Slopes, tensor: ElasticTensor) -> tuple[str, ...]:
    largest = float(np.abs(tensor.matrix()).max())
    regime = "within the linear regime" if slopes.is_linear else (
        "beyond the linear regime, or the model is rough there: try other strains"
    )  # fmt: skip
    return (
        f"fit residual {slopes.residual:.2g} GPa; the chords over the largest "
        f"and the smallest strain differ by {100 * slopes.bend:.2g} % of the largest "
        f"constant (limit {100 * LINEAR:g} %): {regime}",
        f"the slopes break C_ij = C_ji and the symmetry by {tensor.misfit:.2g} GPa "
        f"(root mean square; the largest constant is {largest:.4g} GPa)",
        "errors are those of the fit and of what breaks the symmetry, not the model's",
    )
