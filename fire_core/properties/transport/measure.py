"""Measure transport: dynamics segment by segment, then the analysis."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.backbones.base import need_dynamics
from fire_core.errors import PropertyError
from fire_core.progress import tracked
from fire_core.properties.transport.analysis import analyse_transport
from fire_core.properties.transport.runs import (
    Segment,
    advance,
    begin,
    bytes_to_segment,
    find_cells,
    join_segments,
    plan_dynamics,
    segment_to_bytes,
)
from fire_core.properties.transport.settings import TransportConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.backbones.base import DrivesDynamics
    from fire_core.config.steps import DynamicsConfig
    from fire_core.exploration.dynamics import ReplicaState
    from fire_core.properties.measurement import Measurement
    from fire_core.records import PropertyResult


CELLS: Final = "cells"
"""Shared part: the mean cell of each temperature."""


def measure(measurement: Measurement) -> PropertyResult:
    """Run all temperatures and replicas in one batch; find what they conduct.

    Raises
    ------
    PropertyError
        Every replica broke a guard.
    """
    settings = measurement.settings(TransportConfig)
    segments = _run(measurement, settings)
    groups = join_segments(segments, settings)
    broken = _broken(segments, settings)
    alive = {temperature: runs for temperature, runs in groups.items() if runs}
    if not alive:
        msg = f"no replica reached the end: {'; '.join(broken)}; lower the temperatures"
        raise PropertyError(msg)
    found = analyse_transport(
        alive, settings.analysis, (*_notes(segments, settings), *broken)
    )
    measurement.part("density", lambda: _pack(found.density))
    return found.result


def name_segments(plan: DynamicsConfig) -> list[str]:
    """Name each segment by the steps that it spans.

    A longer run has the same segments as a shorter one, but for the shorter one's last
    where that is cut short.
    """
    return [
        f"{start:09d}-{min(start + plan.segment, plan.steps):09d}"
        for start in range(0, plan.steps, plan.segment)
    ]


def _run(measurement: Measurement, settings: TransportConfig) -> list[Segment]:
    """Return every segment: from the store, or computed and kept."""
    seed, plan = measurement.request.seed, plan_dynamics(settings)
    names = name_segments(plan)
    n_segments = len(names)
    missing = not all(measurement.parts.has(name, shared=True) for name in names)
    backbone = need_dynamics(measurement.inputs.backbone()) if missing else None
    cells = None
    if settings.barostat is not None and backbone is not None:
        found = measurement.json_part(
            CELLS,
            lambda: np.array(
                find_cells(backbone, measurement.inputs.structure(), settings, seed)
            ).tolist(),
            shared=True,
        )
        cells = [np.array(cell) for cell in found]
    segments: list[Segment] = []
    states = begin(measurement.inputs.structure(), settings, seed, cells)
    for index, name in enumerate(tracked(names, "Segments of dynamics")):
        run = partial(
            _run_segment, measurement, backbone, states, index=index, settings=settings
        )
        segment = bytes_to_segment(measurement.part(name, run, shared=True))
        segments.append(segment)
        states = segment.states
        for replica, reason in segment.stopped.items():
            measurement.log(f"replica {replica} was stopped: {reason}")
        measurement.log(f"segment {index + 1} of {n_segments}")
        if not states:
            break
    return segments


def _run_segment(
    measurement: Measurement,
    backbone: DrivesDynamics | None,
    states: Sequence[ReplicaState],
    *,
    index: int,
    settings: TransportConfig,
) -> bytes:
    driver = backbone or need_dynamics(measurement.inputs.backbone())
    seed = measurement.request.seed
    return segment_to_bytes(advance(driver, states, settings, index=index, seed=seed))


def _broken(segments: Sequence[Segment], settings: TransportConfig) -> list[str]:
    n_temperatures = len(settings.temperatures)
    return [
        f"replica {replica} at {settings.temperatures[replica % n_temperatures]:g} K "
        f"broke a guard ({reason}) in segment {index + 1} of {len(segments)} and is "
        "not used"
        for index, segment in enumerate(segments)
        for replica, reason in segment.stopped.items()
    ]


def _notes(segments: Sequence[Segment], settings: TransportConfig) -> list[str]:
    """Return what the thermostat and the cell do to the numbers."""
    notes = [
        f"Langevin friction {1e3 * settings.friction:g}/ps: it lowers diffusion where "
        "it is not small against the friction among the atoms (some 10/ps in a solid); "
        "halve it to see whether it matters"
    ]
    if settings.barostat is None:
        notes.append(
            "constant volume of the given structure at every temperature: thermal "
            "expansion is left out; set `barostat` to have it"
        )
    else:
        notes.append(
            f"each temperature in its mean cell at {settings.barostat.pressure:g} GPa"
        )
    for replica, temperature in _temperatures(segments).items():
        target = settings.temperatures[replica % len(settings.temperatures)]
        if abs(temperature / target - 1) > 0.1:
            notes.append(
                f"replica {replica} had {temperature:.0f} K in place of {target:g} K; "
                "a shorter timestep or more friction may be needed"
            )
    return notes


def _temperatures(segments: Sequence[Segment]) -> dict[int, float]:
    """Return the mean kinetic temperature at the ends of segments, from three on."""
    alive = [state.replica for state in segments[-1].states]
    if len(segments) < 3:
        return {}
    return {
        replica: float(np.mean([segment.kinetic[replica] for segment in segments]))
        for replica in alive
    }


def _pack(density: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, density.astype(np.float32))
    return buffer.getvalue()
