"""Measure an isothermal elastic tensor by mean stresses in molecular dynamics."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from fire_core.config.properties.elasticity import ThermalElasticityConfig
from fire_core.properties.elastic_fit import (
    difference_slopes,
    fit_tensor,
    strain_atoms,
    unit_strain,
)
from fire_core.properties.elastic_tensor import NAMES
from fire_core.properties.elastic_values import tensor_curves, tensor_values
from fire_core.properties.elasticity import (
    atoms_to_json,
    choose_strains,
    describe_frame,
    json_to_atoms,
    orient,
    relax_reference,
)
from fire_core.properties.thermal_stress import (
    block_means,
    dynamics_of,
    frames_to_cells,
    frames_to_stress,
    refuse_breaches,
)
from fire_core.properties.values import with_interval
from fire_core.records import PropertyResult, PropertyValue
from tasks.properties.segments import SegmentedRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone
    from fire_core.exploration.dynamics import SegmentResult
    from fire_core.properties.thermal_stress import BlockMean
    from fire_core.records import JsonDict
    from tasks.properties.bench import Bench

    Array = NDArray[np.float64]


def measure(bench: Bench) -> PropertyResult:
    """Find the cell at the temperature, strain it both ways, average stresses."""
    settings = bench.settings(ThermalElasticityConfig)

    @cache
    def backbone() -> Backbone:
        return bench.backbone()

    def reference() -> JsonDict:
        atoms = bench.structure()
        if settings.cell != "given":
            bench.say("relax cell and ions")
            atoms = relax_reference(
                atoms,
                backbone().calculator(),
                force_tolerance=settings.force_tolerance,
                max_steps=settings.max_steps,
            )
        return atoms_to_json(orient(atoms, settings)[0])

    start = json_to_atoms(bench.json_part("reference", reference))
    _, symmetry = orient(start, settings)
    modes, basis = choose_strains(symmetry, settings)
    atoms, volume = _mean_cell(bench, start, backbone)
    means = _strained_means(bench, atoms, modes, backbone)
    size = settings.strain
    slopes = difference_slopes(
        size,
        {m: (plus.mean, minus.mean) for m, (plus, minus) in means.items()},
        {m: np.array([p.error, n.error]) for m, (p, n) in means.items()},
    )
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
            *_judge(means, settings),
        ),
    )


def _mean_cell(
    bench: Bench, atoms: Atoms, backbone: Callable[[], Backbone]
) -> tuple[Atoms, PropertyValue]:
    """Return the structure in the cell that is strained, and that cell's volume."""
    settings = bench.settings(ThermalElasticityConfig)
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
    run = SegmentedRun(bench, "cell", backbone, config, 2 * bench.request.seed)
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


def _strained_means(
    bench: Bench, atoms: Atoms, modes: list[int], backbone: Callable[[], Backbone]
) -> dict[int, tuple[BlockMean, BlockMean]]:
    """Return the mean stresses of each strain at plus and at minus, GPa."""
    settings = bench.settings(ThermalElasticityConfig)
    size = settings.strain
    cells = [
        strain_atoms(atoms, unit_strain(mode, sign * size))
        for mode in modes
        for sign in (1, -1)
    ]

    def stresses(result: SegmentResult) -> Array:
        refuse_breaches(result)
        return frames_to_stress(
            backbone(), result.frames, len(cells), settings.temperature
        )

    config = dynamics_of(settings, len(cells), moving_cell=False)
    run = SegmentedRun(bench, "strained", backbone, config, 2 * bench.request.seed + 1)
    series = run.collect(cells, stresses)
    found = [block_means(series[:, i], settings.blocks) for i in range(len(cells))]
    return {m: (found[2 * i], found[2 * i + 1]) for i, m in enumerate(modes)}


def _points(size: float, means: dict[int, tuple[BlockMean, BlockMean]]) -> JsonDict:
    return {
        NAMES[mode]: {
            "strains": [-size, size],
            "stresses": [minus.mean.tolist(), plus.mean.tolist()],
            "errors": [minus.error.tolist(), plus.error.tolist()],
        }
        for mode, (plus, minus) in means.items()
    }


def _judge(
    means: dict[int, tuple[BlockMean, BlockMean]], settings: ThermalElasticityConfig
) -> tuple[str, ...]:
    runs = [run for pair in means.values() for run in pair]
    pressure = -float(np.mean([run.mean[:3] for run in runs]))
    slowest = max(run.correlation for run in runs)
    block = runs[0].block
    time = slowest * settings.sample_every * settings.timestep / 1e3
    fit = "several times shorter than" if 5 * slowest < block else (
        "not short against (errors are too small: take longer runs or fewer blocks)"
    )  # fmt: skip
    long = block * settings.sample_every * settings.timestep / 1e3
    return (
        f"mean pressure {pressure:.3f} GPa over all strained cells",
        f"stresses forget themselves within {time:.2g} ps, {fit} a block of "
        f"{long:.2g} ps",
        "errors are those of block averages, propagated; the third order of the strain "
        "is not taken out",
    )
