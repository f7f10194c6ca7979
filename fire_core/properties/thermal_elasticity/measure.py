"""Measure an isothermal elastic tensor by mean stresses in molecular dynamics."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.properties.elasticity.fit import (
    Slopes,
    fit_tensor,
    strain_atoms,
    unit_strain,
)
from fire_core.properties.elasticity.strains import (
    choose_strains,
    describe_frame,
    orient,
    relax_reference,
)
from fire_core.properties.elasticity.tensor import NAMES
from fire_core.properties.elasticity.values import tensor_curves, tensor_values
from fire_core.properties.plain import atoms_to_json, json_to_atoms
from fire_core.properties.segments import SegmentedRun
from fire_core.properties.thermal_elasticity.settings import ThermalElasticityConfig
from fire_core.properties.thermal_elasticity.stress import (
    block_means,
    dynamics_of,
    frames_to_cells,
    frames_to_stress,
    refuse_breaches,
)
from fire_core.properties.values import with_interval
from fire_core.records import PropertyResult, PropertyValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone
    from fire_core.exploration.dynamics import SegmentResult
    from fire_core.properties.measurement import Measurement
    from fire_core.properties.thermal_elasticity.stress import BlockMean
    from fire_core.records import JsonDict

    Array = NDArray[np.float64]

SIGNS: Final = {"plus": 1.0, "minus": -1.0}


def measure(measurement: Measurement) -> PropertyResult:
    """Find the cell at the temperature, strain it both ways, average stresses."""
    settings = measurement.settings(ThermalElasticityConfig)

    @cache
    def backbone() -> Backbone:
        return measurement.inputs.backbone()

    def reference() -> JsonDict:
        atoms = measurement.inputs.structure()
        if settings.cell != "given":
            measurement.log("relax cell and ions")
            atoms = relax_reference(
                atoms,
                backbone().calculator(),
                force_tolerance=settings.force_tolerance,
                max_steps=settings.max_steps,
            )
        return atoms_to_json(orient(atoms, settings)[0])

    start = json_to_atoms(measurement.json_part("reference", reference))
    _, symmetry = orient(start, settings)
    modes, basis = choose_strains(symmetry, settings)
    atoms, volume = _mean_cell(measurement, start, backbone)
    stresses = {
        sign: _strained_stresses(measurement, atoms, modes, sign, backbone)
        for sign in SIGNS
    }
    size, blocks = settings.strain, settings.blocks
    halves = (stresses["plus"] - stresses["minus"]) / (2 * size)
    found = [block_means(halves[:, i], blocks) for i in range(len(modes))]
    slopes = Slopes(
        modes=tuple(modes),
        values=np.array([one.mean for one in found]),
        errors=np.array([one.error for one in found]),
        residual=0.0,
        bend=0.0,
    )
    means = {
        mode: [block_means(stresses[sign][:, i], blocks) for sign in SIGNS]
        for i, mode in enumerate(modes)
    }
    tensor = fit_tensor(slopes, basis)
    conditions: dict[str, float | str] = {"temperature_k": settings.temperature}
    return PropertyResult(
        values=(*tensor_values(tensor, conditions), volume),
        curves=tensor_curves(tensor) | {"points": _points(size, means)},
        notes=(
            describe_frame(symmetry, settings),
            "isothermal constants: Voigt order xx, yy, zz, yz, xz, xy, engineering "
            "strains, stress positive in tension",
            f"{len(atoms)} atoms; {len(modes)} strains of ±{size:g}, "
            f"{(settings.steps - settings.equilibration) * settings.timestep / 1e3:g} "
            "ps each, central differences",
            *_judge(means, found, settings),
        ),
    )


def _mean_cell(
    measurement: Measurement, atoms: Atoms, backbone: Callable[[], Backbone]
) -> tuple[Atoms, PropertyValue]:
    """Return the structure in the cell that is strained, and that cell's volume."""
    settings = measurement.settings(ThermalElasticityConfig)
    n = len(atoms)
    conditions = {"temperature_k": settings.temperature}
    if settings.cell != "mean":
        note = f"of the {settings.cell} cell"
        here = PropertyValue(
            "volume",
            atoms.get_volume() / n,
            "Å³/atom",
            conditions=conditions,
            note=note,
        )
        return atoms, here

    def cells(result: SegmentResult) -> Array:
        refuse_breaches(result)
        return frames_to_cells(result.frames)

    config = dynamics_of(settings, 1, moving_cell=True)
    run = SegmentedRun(
        measurement, "cell", backbone, config, 2 * measurement.request.seed
    )
    series = run.collect([atoms], cells)
    volumes = np.abs(np.linalg.det(series.reshape(-1, 3, 3)))[:, None] / n
    found = block_means(volumes, settings.blocks)
    mean = atoms.copy()
    mean.set_cell(series.mean(axis=0).reshape(3, 3), scale_atoms=True)
    value = PropertyValue(
        "volume", float(found.mean[0]), "Å³/atom", float(found.error[0]),
        conditions=conditions, note="mean at zero pressure",
    )  # fmt: skip
    return mean, with_interval(value)


def _strained_stresses(
    measurement: Measurement,
    atoms: Atoms,
    modes: list[int],
    sign: str,
    backbone: Callable[[], Backbone],
) -> Array:
    """Return the stresses of all strains of one sign, (n_samples, n_modes, 6), GPa.

    Both signs take the same momenta and noise, so that their trajectories stay near to
    each other and much of the noise drops out of the difference.
    """
    settings = measurement.settings(ThermalElasticityConfig)
    cells = [
        strain_atoms(atoms, unit_strain(mode, SIGNS[sign] * settings.strain))
        for mode in modes
    ]

    def stresses(result: SegmentResult) -> Array:
        refuse_breaches(result)
        return frames_to_stress(
            backbone(), result.frames, len(cells), settings.temperature
        )

    config = dynamics_of(settings, len(cells), moving_cell=False)
    run = SegmentedRun(
        measurement, sign, backbone, config, 2 * measurement.request.seed + 1
    )
    return run.collect(cells, stresses)


def _points(size: float, means: dict[int, list[BlockMean]]) -> JsonDict:
    return {
        NAMES[mode]: {
            "strains": [sign * size for sign in SIGNS.values()],
            "stresses": [one.mean.tolist() for one in both],
            "errors": [one.error.tolist() for one in both],
        }
        for mode, both in means.items()
    }


def _judge(
    means: dict[int, list[BlockMean]],
    slopes: list[BlockMean],
    settings: ThermalElasticityConfig,
) -> tuple[str, ...]:
    runs = [run for both in means.values() for run in both]
    pressure = -float(np.mean([run.mean[:3] for run in runs]))
    slowest = max(one.correlation for one in slopes)
    block = slopes[0].block
    time = slowest * settings.sample_every * settings.timestep / 1e3
    fit = "several times shorter than" if 5 * slowest < block else (
        "not short against (errors are too small: take longer runs or fewer blocks)"
    )  # fmt: skip
    long = block * settings.sample_every * settings.timestep / 1e3
    apart = [
        np.hypot(both[0].error, both[1].error) / (2 * settings.strain)
        for both in means.values()
    ]
    shared = float(np.linalg.norm([one.error for one in slopes]))
    gain = float(np.linalg.norm(apart)) / shared if shared > 0 else 1.0
    return (
        f"mean pressure {pressure:.3f} GPa over all strained cells",
        f"differences of stress forget themselves within {time:.2g} ps, {fit} a block "
        f"of {long:.2g} ps",
        f"both signs share their noise, which makes errors {gain:.2g} times smaller "
        "than those of independent runs",
        "errors are those of block averages, propagated; the third order of the strain "
        "is not taken out",
    )
