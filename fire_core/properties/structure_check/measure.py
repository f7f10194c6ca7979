"""Check the structure that a model's dynamics, or given trajectories, have."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.io import read

from fire_core.errors import PropertyError
from fire_core.properties.request import CrystalSystem
from fire_core.properties.segments import SegmentedRun
from fire_core.properties.structure_check.settings import StructureCheckConfig
from fire_core.properties.structure_check.values import check_structure
from fire_core.records import PropertyResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone
    from fire_core.exploration.dynamics import SegmentResult
    from fire_core.properties.measurement import Measurement
    from fire_core.records import JsonDict

    Array = NDArray[np.float64]


def measure(measurement: Measurement) -> PropertyResult:
    """Run what is missing of the dynamics; average over each temperature's replicas."""
    settings = measurement.settings(StructureCheckConfig)
    if settings.trajectories:
        runs = [
            _read(measurement.inputs.file(path), path) for path in settings.trajectories
        ]
        conditions: dict[str, float | str] = {}
        if settings.temperature is not None:
            conditions["temperature_k"] = settings.temperature
        found = check_structure(runs, settings, conditions)
        return _joined({_word(conditions): found})
    system = measurement.request.system
    repeat = system.repeat if isinstance(system, CrystalSystem) else (1, 1, 1)
    results = {}
    for temperature, runs in _run(measurement, settings).items():
        conditions = {"temperature_k": temperature}
        if settings.dynamics.barostat is not None:
            conditions["pressure_gpa"] = settings.dynamics.barostat.pressure
        results[f"{temperature:g} K"] = check_structure(
            runs, settings, conditions, repeat
        )
    return _joined(results)


def _run(
    measurement: Measurement, settings: StructureCheckConfig
) -> dict[float, list[list[Atoms]]]:
    """Return the frames of each replica by its temperature, K.

    Raises
    ------
    PropertyError
        A guard stopped a replica: what it did until then is no sample.
    """
    atoms, dynamics = measurement.inputs.structure(), settings.dynamics

    @cache
    def backbone() -> Backbone:
        return measurement.inputs.backbone()

    run = SegmentedRun(measurement, "md", backbone, dynamics, measurement.request.seed)
    samples = run.collect([atoms], _pack)
    replicas, temperatures = samples[:, 0, 0].astype(int), samples[:, 0, 1]
    runs: dict[float, list[list[Atoms]]] = {}
    expected = (dynamics.steps - dynamics.equilibration) // dynamics.save_every
    for replica in range(dynamics.replicas):
        mine = replicas == replica
        if mine.sum() < expected:
            msg = (
                f"replica {replica} was stopped by a guard after {mine.sum()} of "
                f"{expected} frames; a structure that leaves physics has no averages. "
                "Lower the temperature or the time step, or look at the model"
            )
            raise PropertyError(msg)
        frames = [_unpack(atoms, sample) for sample in samples[mine]]
        runs.setdefault(float(temperatures[mine][0]), []).append(frames)
    return runs


def _pack(result: SegmentResult) -> Array:
    """Return (n_frames, 4 + n_atoms, 3): replica and K, the cell, the positions."""
    if not result.frames:
        n_atoms = len(result.states[0].numbers) if result.states else 0
        return np.empty((0, 4 + n_atoms, 3))
    return np.array(
        [
            np.vstack(
                [
                    [f.tag.replica, f.tag.temperature, f.tag.step],
                    f.atoms.cell.array,
                    f.atoms.positions,
                ]
            )
            for f in result.frames
        ]
    )


def _unpack(atoms: Atoms, sample: Array) -> Atoms:
    return Atoms(
        numbers=atoms.numbers, cell=sample[1:4], positions=sample[4:], pbc=True
    )


def _read(data: bytes, path: str) -> list[Atoms]:
    text = io.StringIO(data.decode("utf-8", errors="replace"))
    try:
        return list(read(text, index=":", format="extxyz"))
    except Exception as error:  # of ase's reader, by the first odd line
        msg = (
            f"{Path(path).name} is no extended XYZ ({type(error).__name__}: {error}); "
            "convert it with `ase convert`"
        )
        raise PropertyError(msg) from error


def _word(conditions: dict[str, float | str]) -> str:
    return f"{conditions['temperature_k']:g} K" if conditions else "given"


def _joined(results: dict[str, PropertyResult]) -> PropertyResult:
    curves: JsonDict = {word: dict(found.curves) for word, found in results.items()}
    return PropertyResult(
        values=tuple(v for found in results.values() for v in found.values),
        curves=curves,
        notes=(
            "errors are those of block means: they are too small where blocks are "
            "shorter than the slowest motion",
            "distances are counted through periodic images; a small cell shows its own "
            "period as order",
        ),
    )
