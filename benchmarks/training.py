"""Speed of one training epoch on mixed data, beside mace_run_train.

``python -m benchmarks.training [--quick]``. Both train fire-mini on the same structures
(large target frames, small replay frames), in single precision on the CPU, each in a
process of its own with the same threads, taking turns; the fastest epoch of each
counts. Both validate on the same frames after each epoch, and start from the same
weights, loss and peak learning rate.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import mixed_set
from benchmarks.peers import Peer, run_mace
from fire_core.backbones.assets import bundled_model
from fire_core.backbones.registry import load_backbone
from fire_core.config.training import TrainConfig
from fire_core.evaluation.references import fit_references
from fire_core.training.alignment import to_foundation_scale
from fire_core.training.data import TrainingData
from fire_core.training.trainer import fine_tune


@dataclass(frozen=True, slots=True)
class Size:
    """How much is trained on."""

    n_target: int
    n_replay: int
    epochs: int
    turns: int


FULL = Size(n_target=12, n_replay=96, epochs=3, turns=3)
QUICK = Size(n_target=3, n_replay=24, epochs=2, turns=1)
N_VALID = 2


def prepare(size: Size) -> tuple[Any, Any, Any, TrainConfig, str]:
    """Return model, training and validation structures, settings, and a name."""
    backbone = load_backbone("fire-mini", device="cpu")
    target, replay, name = mixed_set(backbone, size.n_target + N_VALID, size.n_replay)
    parts = []
    for items in (target, replay):
        predicted = backbone.predict([i.atoms for i in items])
        parts.append(to_foundation_scale(items, fit_references(items, predicted).shift))
    train, valid = [*parts[0][:-N_VALID], *parts[1]], parts[0][-N_VALID:]
    config = TrainConfig.model_validate(
        {
            "strategy": "naive",
            "epochs": size.epochs,
            "batch_frames": 4,
            "learning_rate": 1e-3,
            "references": {"method": "keep"},
        }
    )
    return backbone, train, valid, config, name


def run_ours(size: Size) -> dict[str, Any]:
    """Train with FIRE; return its epochs."""
    backbone, train, valid, config, name = prepare(size)
    tuned = fine_tune(backbone, TrainingData(train, valid, [], []), config, seed=1)
    epochs = [
        {
            "seconds": r.seconds,
            "energy_rmse": r.valid.energy_rmse,
            "force_rmse": r.valid.force_rmse,
        }
        for r in tuned.records
    ]
    return {"epochs": epochs, "name": name, "frames": len(train)}


def run_theirs(size: Size) -> dict[str, Any]:
    """Train with mace_run_train; return its epochs."""
    _, train, valid, config, name = prepare(size)
    with tempfile.TemporaryDirectory() as folder:
        run = run_mace(
            Path(folder),
            (train, valid),
            config,
            peer=Peer(bundled_model(), config.batch_frames),
        )
    return {
        "epochs": [asdict(e) for e in run.epochs],
        "name": name,
        "frames": len(train),
    }


def in_a_process(who: str, size: Size, threads: int) -> dict[str, Any]:
    """Run one side in a fresh interpreter with so many threads."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.training"]
    command += ["--side", who, "--size", json.dumps(asdict(size))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(size: Size, threads: int) -> dict[str, Any]:
    """Run both sides in turns; return frames per second, errors and the ratio."""
    seconds: dict[str, list[float]] = {"fire": [], "mace_run_train": []}
    errors: dict[str, list[float]] = {}
    facts: dict[str, Any] = {}
    for _ in range(size.turns):
        for who, times in seconds.items():
            result = in_a_process(who, size, threads)
            times += [epoch["seconds"] for epoch in result["epochs"]]
            errors[who] = [round(e["force_rmse"], 1) for e in result["epochs"]]
            facts = {"data": result["name"], "frames": result["frames"]}
    best = {who: min(times) for who, times in seconds.items()}
    median = {who: float(np.median(times)) for who, times in seconds.items()}
    return {
        **facts,
        "threads": threads,
        "frames_per_second": {w: facts["frames"] / s for w, s in best.items()},
        "median_epoch_s": median,
        "force_rmse_by_epoch_mev_per_angstrom": errors,
        "ratio": best["mace_run_train"] / best["fire"],
        "ratio_of_medians": median["mace_run_train"] / median["fire"],
    }


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.training", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--side", choices=["fire", "mace_run_train"])
    parser.add_argument("--size", type=json.loads)
    arguments = parser.parse_args()
    if arguments.side:
        run = run_ours if arguments.side == "fire" else run_theirs
        print(json.dumps(run(Size(**arguments.size))))
        return
    figures = measure(QUICK if arguments.quick else FULL, arguments.threads)
    print(
        f"{figures['data']}, {figures['frames']} frames, {figures['threads']} threads"
    )
    for who, rate in figures["frames_per_second"].items():
        errors = figures["force_rmse_by_epoch_mev_per_angstrom"][who]
        print(f"{who:16s} {rate:7.2f} frames/s   force RMSE by epoch {errors} meV/Å")
    print(f"ratio {figures['ratio']:.2f} (medians {figures['ratio_of_medians']:.2f})")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
