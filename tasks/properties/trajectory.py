"""Analyse finished trajectories of others as if they were ours; keep the result."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fire_core.files import file_sha256
from fire_core.properties.transport.analysis import analyse_transport
from fire_core.properties.transport.trajectory import read_trajectory
from fire_core.storage.properties import PropertyAsked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fire_core.config.properties.transport import TransportAnalysis
    from fire_core.properties.transport.trajectory import Trajectory
    from fire_core.storage.store import Store


@dataclass(frozen=True, slots=True)
class TrajectoryFile:
    """A file of frames of one run.

    Attributes
    ----------
    path
        Anything that ASE reads.
    temperature
        K.
    timestep_fs
        Time between its frames, fs.
    """

    path: Path
    temperature: float
    timestep_fs: float


def analyse_trajectories(
    store: Store,
    files: Sequence[TrajectoryFile],
    settings: TransportAnalysis,
    *,
    name: str,
    theory: str,
) -> str:
    """Analyse, unless the store has the result; return the measurement's key.

    Files of one temperature are replicas. The identity of the measurement is what the
    files hold, their temperatures and times, and the settings.
    """
    shas = [file_sha256(file.path) for file in files]
    facts = [
        {"sha256": sha, "temperature": f.temperature, "timestep_fs": f.timestep_fs}
        for sha, f in zip(shas, files, strict=True)
    ]
    request = {"measure": settings.model_dump(mode="json"), "trajectories": facts}
    key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    row = store.properties.get(key)
    if row is not None and row.result is not None:
        return key
    start = time.monotonic()
    groups: dict[float, list[Trajectory]] = {}
    for file in files:
        run = read_trajectory(file.path, file.timestep_fs)
        groups.setdefault(file.temperature, []).append(run)
    notes = [
        f"{file.path.name}: {file.temperature:g} K, frames {file.timestep_fs:g} fs "
        "apart, as was said"
        for file in files
    ]
    found = analyse_transport(groups, settings, notes)
    paths = {"files": [str(file.path) for file in files], "theory": theory}
    store.properties.open(
        PropertyAsked(
            key=key,
            name=name,
            work=key,
            kind="transport",
            subject=theory,
            subject_sha=hashlib.sha256("".join(shas).encode()).hexdigest(),
            structure=None,
            formula=found.formula,
            request_json=json.dumps(request | paths),
        )
    )
    store.properties.finish(key, found.result, time.monotonic() - start)
    return key
