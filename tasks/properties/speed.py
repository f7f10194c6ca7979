"""Measure how fast the model is, and the labeller beside it."""

from __future__ import annotations

import os
import platform
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from fire_core.backbones.device import describe_device, device_of
from fire_core.config.properties.speed import SpeedConfig
from fire_core.errors import LabellingError, OutOfMemoryError
from fire_core.labelling.makers import check_ready, compute_here
from fire_core.progress import tracked
from fire_core.properties.speed.memory import MemoryTrend
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
    from fire_core.records import JsonDict
    from tasks.properties.bench import Bench

RATTLE = 0.05
"""Displacements of the timed structures, Å: a perfect crystal converges too soon."""


def measure(bench: Bench) -> PropertyResult:
    """Time the sizes that are missing, the smallest first."""
    settings, cell = bench.settings(SpeedConfig), bench.structure()

    @cache
    def backbone() -> Backbone:
        return bench.backbone()

    def step(atoms: Atoms, replicas: int = 1) -> Timing:
        return time_dynamics(
            backbone(), atoms, settings, seed=bench.request.seed, replicas=replicas
        )

    @cache
    def load_labeller() -> None:
        """Compute one label that is not timed."""
        if settings.theory is not None:
            with tempfile.TemporaryDirectory() as folder:
                compute_here(settings.theory, cell, Path(folder))

    def label(atoms: Atoms) -> Timing:
        theory = settings.theory
        if theory is None:
            msg = "no theory to label with"
            raise LabellingError("crashed", msg)
        load_labeller()
        with tempfile.TemporaryDirectory() as folder:
            times = time_calls(
                lambda: compute_here(theory, atoms, Path(folder)),
                warm_up=0,
                repeats=settings.labels,
            )
        return Timing(len(atoms), *times, settings.labels)

    model, notes = _series(bench, cell, "step", step)
    machine = bench.json_part("machine", lambda: _describe_machine(backbone()))
    labels: list[Timing] = []
    if settings.theory is not None:
        check_ready(settings.theory)
        labels, more = _series(bench, cell, "label", label)
        notes += more
    replica = cell.repeat(repeats_for(cell, settings.replica_atoms))
    batches = [
        _timing(bench, f"batch-{n}", partial(step, replica, n))
        for n in settings.replicas
    ]
    values = speed_values(model, labels, batches)
    curves = {
        "model": [t.as_dict() for t in model],
        "labels": [t.as_dict() for t in labels],
        "batches": [t.as_dict() for t in batches],
        "names": {
            "model": bench.asked.subject,
            "labels": None if settings.theory is None else settings.theory.kind,
        },
        "machine": machine,
        "laws": power_laws(model, labels),
    }
    head = f"{machine['device']} of {machine['cores']} cores, {machine['processor']}"
    return PropertyResult(tuple(values), curves, (head, *notes))


def _series(
    bench: Bench, cell: Atoms, name: str, run: Callable[[Atoms], Timing]
) -> tuple[list[Timing], list[str]]:
    """Time growing supercells until one would take too long, or fails."""
    settings = bench.settings(SpeedConfig)
    found: list[Timing] = []
    memory = MemoryTrend()
    for size in tracked(sorted(set(settings.sizes)), name):
        atoms = cell.repeat(repeats_for(cell, size))
        atoms.rattle(RATTLE, seed=bench.request.seed)
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
        bench.say(f"{name}: {len(atoms)} atoms")
        memory.begin()
        try:
            found.append(_timing(bench, f"{name}-{len(atoms)}", partial(run, atoms)))
            memory.note(len(atoms))
        except (LabellingError, OutOfMemoryError) as error:
            return found, [f"{name}: ended at {len(atoms)} atoms, {error}"]
    return found, []


def _timing(bench: Bench, part: str, run: Callable[[], Timing]) -> Timing:
    return Timing(**bench.json_part(part, lambda: run().as_dict()))


def _describe_machine(backbone: Backbone) -> JsonDict:
    return {
        "device": describe_device(device_of(backbone)),
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
    }
