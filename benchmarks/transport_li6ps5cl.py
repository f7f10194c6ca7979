"""Lithium diffusion in Li6PS5Cl: a model against DFT trajectories of the same length.

``python -m benchmarks.transport_li6ps5cl [--model fire-mini] [--timestep-fs DT]
[--ps 100] [--quick]``. Two parts.

1. The DFT trajectories beside the project (600 K and 1200 K, 60 frames of 416 atoms)
   and MD with the model from their first frames, of the same number of frames the same
   time apart, by the same analysis. Their time between frames is stated nowhere. It is
   inferred from chlorine, the heaviest atom, whose first displacement is nearly that of
   free flight at the known temperature (20 fs); `--timestep-fs` says otherwise. Too
   short for a diffusion coefficient (1.2 ps), they are compared by mean squared
   displacements over the same numbers of frames.
2. Transport of the built-in crystal by the model at four temperatures, and the
   conductivity at 300 K beside measured ones (OBELiX). Hours on a CPU; `--skip-long`
   leaves it out.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from typing import TYPE_CHECKING, Any, Final

from ase import units
from ase.io import read

from benchmarks.data import SHARED
from fire_core.backbones.registry import load_backbone
from fire_core.config.system import SlabConfig
from fire_core.properties.transport.analysis import analyse_transport
from fire_core.properties.transport.ensemble import Ensemble, analyse_ensemble
from fire_core.properties.transport.msd import displacement_tensor, trace
from fire_core.properties.transport.runs import advance, begin, join_segments
from fire_core.properties.transport.settings import TransportAnalysis, TransportConfig
from fire_core.properties.transport.trajectory import (
    Trajectory,
    frames_to_trajectory,
    remove_drift,
)
from fire_core.structures.crystals import build_bulk

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.base import Backbone

TEMPERATURES: Final = (600.0, 1200.0)
LAGS: Final = (1, 5, 10, 20, 30)
"""Frames; half of a run is the longest that is worth a look."""
ARGYRODITE: Final = {"Li": 6.0, "P": 1.0, "S": 5.0, "Cl": 1.0}
MEASURED: Final = (2.05e-3, 1.3e-3, 3.3e-5)
"""S/cm at room temperature, three samples of Li6PS5Cl in OBELiX."""


def simulate(
    backbone: Backbone, atoms: Atoms, settings: TransportConfig, seed: int
) -> dict[float, list[Trajectory]]:
    """Run all segments in memory."""
    states, segments = begin(atoms, settings, seed), []
    while True:
        segment = advance(backbone, states, settings, index=len(segments), seed=seed)
        if segment.states and segment.states[0].step == states[0].step:
            return join_segments(segments, settings)
        segments.append(segment)
        states = segment.states
        print(f"  segment {len(segments)}, {len(states)} replicas", flush=True)
        if not states:
            return join_segments(segments, settings)


def compare_short(
    backbone: Backbone, frame_fs: float, n_frames: int
) -> list[dict[str, Any]]:
    """Compare DFT and the model at each temperature, frame for frame."""
    analysis = TransportAnalysis(earliest=3e-3 * frame_fs)
    rows = []
    for temperature in TEMPERATURES:
        path = SHARED / "li6ps5cl" / f"{temperature:.0f}K.extxyz"
        frames = read(path, index=f":{n_frames}")
        dft = frames_to_trajectory(frames, 1e-3 * frame_fs)
        settings = TransportConfig(
            temperatures=(temperature,),
            replicas=1,
            ps=1e-3 * frame_fs * n_frames,  # the start is not a frame
            equilibration_ps=0.0,
            timestep=min(2.0, frame_fs),
            save_every_fs=frame_fs,
            segment_ps=1e-3 * frame_fs * n_frames,
            analysis=analysis,
        )
        runs = {"dft": [dft], "model": []}
        runs["model"] = simulate(backbone, frames[0], settings, 1)[temperature]
        found = {
            name: analyse_ensemble(temperature, group, "Li", 1.0, analysis)
            for name, group in runs.items()
            if group
        }
        rows.append(_short_row(temperature, found))
    return rows


def infer_frame_fs() -> float:
    """Return the time between the DFT frames, fs, from free flight of chlorine.

    √(MSD / (3 k_B T / m)) after one frame, the mean of both temperatures; forces make
    it a little short.
    """
    times = []
    for temperature in TEMPERATURES:
        frames = read(SHARED / "li6ps5cl" / f"{temperature:.0f}K.extxyz", index=":")
        run = remove_drift(frames_to_trajectory(frames, 1.0), "Li", "framework")
        moved = trace(displacement_tensor(run.displacements_of("Cl")))[1]
        mass = float(run.masses[run.symbols == "Cl"][0])
        times.append((moved * mass / (3 * units.kB * temperature)) ** 0.5 / units.fs)
    return float(sum(times) / len(times))


def _short_row(temperature: float, found: dict[str, Ensemble]) -> dict[str, Any]:
    row: dict[str, Any] = {"temperature_k": temperature}
    for name, ensemble in found.items():
        msd = ensemble.tracer.msd
        lags = [lag for lag in LAGS if lag < len(msd)]
        row[name] = {
            "frames": len(msd),
            "msd_by_frames": {lag: float(msd[lag]) for lag in lags},
            "self_diffusion_cm2_per_s": _cm2(ensemble.tracer.estimate.value),
            "low": _cm2(ensemble.tracer.estimate.low),
            "high": _cm2(ensemble.tracer.estimate.high),
            "note": ensemble.tracer.estimate.note,
            "others_msd": {
                e: float(m[len(m) // 2]) for e, m in ensemble.others.items()
            },
        }
    return row


def _cm2(number: float | None) -> float | None:
    return None if number is None else 1e-4 * number


def conductivity(
    backbone: Backbone, ps: float, repeat: int, temperatures: tuple[float, ...]
) -> dict[str, Any]:
    """Return what transport of the built-in crystal gives, at 300 K too."""
    settings = TransportConfig(
        temperatures=temperatures,
        ps=ps,
        replicas=3 if ps >= 10 else 1,
        equilibration_ps=min(5.0, ps / 4),
        segment_ps=min(5.0, ps),
    )
    atoms = build_bulk(SlabConfig(crystal="Li6PS5Cl")).atoms.repeat(repeat)
    groups = {
        t: runs for t, runs in simulate(backbone, atoms, settings, 2).items() if runs
    }
    result = analyse_transport(groups, settings.analysis).result
    return {
        f"{v.name} {' '.join(map(str, v.conditions.values()))}": {
            "value": v.value,
            "low": v.low,
            "high": v.high,
            "unit": v.unit,
            "note": v.note,
        }
        for v in result.values
    }


def measured_conductivities() -> list[float]:
    """Return OBELiX's room-temperature conductivities of Li6PS5Cl, S/cm."""
    path = SHARED / "reference" / "obelix_conductivities.csv"
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if _is_argyrodite(row)]
    found = [float(row["Ionic conductivity (S cm-1)"]) for row in rows]
    return sorted(found) or sorted(MEASURED)


def _is_argyrodite(row: dict[str, str]) -> bool:
    counts = re.findall(r"([A-Z][a-z]?)([\d.]+)", row["Composition"])
    elements = {element: float(n) for element, n in counts}
    if set(elements) != set(ARGYRODITE):
        return False
    return all(
        abs(n / elements["P"] - ARGYRODITE[e]) < 0.01 for e, n in elements.items()
    )


def main() -> None:
    """Print the tables and, last, one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="fire-mini", help="name or path")
    parser.add_argument("--timestep-fs", type=float, help="between the DFT frames")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ps", type=float, default=100.0)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--skip-long", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    frame_fs = options.timestep_fs or float(round(infer_frame_fs()))
    n_frames, ps, repeat, kelvins = (
        60,
        options.ps,
        options.repeat,
        (600.0, 800.0, 1000.0, 1200.0),
    )
    if options.quick:
        n_frames, ps, repeat, kelvins = 5, 0.5, 1, (1200.0,)
    backbone = load_backbone(options.model, device=options.device)
    facts: dict[str, Any] = {
        "model": options.model,
        "frame_fs": frame_fs,
        "frame_fs_is_stated": options.timestep_fs is not None,
        "short": compare_short(backbone, frame_fs, n_frames),
        "measured_s_per_cm": measured_conductivities(),
    }
    if not facts["frame_fs_is_stated"]:
        print(f"time between DFT frames, inferred from free flight: {frame_fs:g} fs")
    for row in facts["short"]:
        for name in ("dft", "model"):
            part = row.get(name, {"msd_by_frames": {}, "note": "no run survived"})
            msds = " ".join(f"{m:8.2f}" for m in part["msd_by_frames"].values())
            print(
                f"{row['temperature_k']:6.0f} K {name:6s} MSD (Å²) {msds}",
                part["note"],
            )
    if not options.skip_long:
        facts["transport"] = conductivity(backbone, ps, repeat, kelvins)
        for name, value in facts["transport"].items():
            print(f"{name:50s} {value['value']} {value['unit']}  {value['note']}")
    print("measured at room temperature, S/cm:", facts["measured_s_per_cm"])
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
