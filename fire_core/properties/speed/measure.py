"""Measure how fast the model is, and the labeller beside it."""

from __future__ import annotations

import os
import platform
from functools import cache, partial
from typing import TYPE_CHECKING

from fire_core.backbones.device import describe_device, device_of
from fire_core.errors import LabellingError, OutOfMemoryError
from fire_core.progress import tracked
from fire_core.properties.speed.memory import MemoryTrend
from fire_core.properties.speed.settings import SpeedConfig
from fire_core.properties.speed.timing import (
    Timing,
    is_too_slow,
    repeats_for,
    time_calls,
    time_dynamics,
)
from fire_core.properties.speed.values import power_laws, speed_values
from fire_core.records import PropertyResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.properties.measurement import Measurement
    from fire_core.records import JsonDict

RATTLE = 0.05
"""Displacements of the timed structures, Å: a perfect crystal converges too soon."""


def measure(measurement: Measurement) -> PropertyResult:
    """Time the sizes that are missing, the smallest first."""
    settings, cell = measurement.settings(SpeedConfig), measurement.inputs.structure()

    @cache
    def backbone() -> Backbone:
        return measurement.inputs.backbone()

    def step(atoms: Atoms, replicas: int = 1) -> Timing:
        return time_dynamics(
            backbone(),
            atoms,
            settings,
            seed=measurement.request.seed,
            replicas=replicas,
        )

    model, notes = _series(measurement, cell, "step", step)
    machine = measurement.json_part("machine", lambda: _describe_machine(backbone()))
    labels: list[Timing] = []
    if settings.theory is not None:
        compute = measurement.inputs.labeller(settings.theory)
        label = _time_labels(compute, cell, settings.labels)
        labels, more = _series(measurement, cell, "label", label)
        notes += more
    replica = cell.repeat(repeats_for(cell, settings.replica_atoms))
    batches = [
        _timing(measurement, f"batch-{n}", partial(step, replica, n))
        for n in settings.replicas
    ]
    values = speed_values(model, labels, batches)
    curves = {
        "model": [t.as_dict() for t in model],
        "labels": [t.as_dict() for t in labels],
        "batches": [t.as_dict() for t in batches],
        "names": {
            "model": measurement.subject,
            "labels": None if settings.theory is None else settings.theory.kind,
        },
        "machine": machine,
        "laws": power_laws(model, labels),
    }
    head = f"{machine['device']} of {machine['cores']} cores, {machine['processor']}"
    return PropertyResult(tuple(values), curves, (head, *notes))


def _time_labels(
    compute: Callable[[Atoms], object], cell: Atoms, repeats: int
) -> Callable[[Atoms], Timing]:
    """Return a function that times labels; the first one of all is not timed."""

    @cache
    def load_labeller() -> None:
        compute(cell)

    def label(atoms: Atoms) -> Timing:
        load_labeller()
        times = time_calls(lambda: compute(atoms), warm_up=0, repeats=repeats)
        return Timing(len(atoms), *times, repeats)

    return label


def _series(
    measurement: Measurement, cell: Atoms, name: str, run: Callable[[Atoms], Timing]
) -> tuple[list[Timing], list[str]]:
    """Time growing supercells until one would take too long, or fails."""
    settings = measurement.settings(SpeedConfig)
    found: list[Timing] = []
    memory = MemoryTrend()
    for size in tracked(sorted(set(settings.sizes)), name):
        atoms = cell.repeat(repeats_for(cell, size))
        atoms.rattle(RATTLE, seed=measurement.request.seed)
        if found and len(atoms) <= found[-1].n_atoms:
            continue
        if is_too_slow(found, len(atoms), settings.time_limit):
            return found, [
                f"{name}: not tried from {len(atoms)} atoms on, one would take longer "
                f"than {settings.time_limit:g} s"
            ]
        if not memory.will_fit(len(atoms)):
            return found, [
                f"{name}: not tried from {len(atoms)} atoms on, it would take some "
                f"{memory.expect(len(atoms)) / 2**30:.0f} GiB of memory"
            ]
        measurement.log(f"{name}: {len(atoms)} atoms")
        memory.begin()
        try:
            found.append(
                _timing(measurement, f"{name}-{len(atoms)}", partial(run, atoms))
            )
            memory.note(len(atoms))
        except (LabellingError, OutOfMemoryError) as error:
            return found, [f"{name}: ended at {len(atoms)} atoms, {error}"]
    return found, []


def _timing(measurement: Measurement, part: str, run: Callable[[], Timing]) -> Timing:
    return Timing(**measurement.json_part(part, lambda: run().as_dict()))


def _describe_machine(backbone: Backbone) -> JsonDict:
    return {
        "device": describe_device(device_of(backbone)),
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
    }
