"""Replay from a set of a million frames, beside one of a thousand.

``python -m benchmarks.replay_scale [--frames N] [--workdir DIR] [--threads N]
[--quick]``. The frames are those of the bundled set with at most 16 atoms, each rattled
by 0.01 Å, so that all differ. fire-mini is trained on 63 frames of 8 atoms with 16
replay frames to each, once from the indexed file of all and once from a list of the
first thousand, which an epoch goes through once and whose graphs are kept from then on.
Each is a process of its own: its start is the time from opening the set until the first
step, its frames per second those of the epochs after the first, its memory the largest
it ever had.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.backbones.assets import load_replay
from fire_core.backbones.registry import load_backbone
from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.records import LabelledStructure
from fire_core.structures.content import structure_key
from fire_core.structures.crystals import build_crystal
from fire_core.structures.frame_index import build_index
from fire_core.training.data import TrainingData
from fire_core.training.sources import load_replay_source
from fire_core.training.trainer import fine_tune

if TYPE_CHECKING:
    from collections.abc import Iterator

MILLION: Final = 1_000_000
QUICK: Final = 20_000
LARGEST: Final = 16  # atoms
N_TARGET: Final = 63
QUICK_TARGET: Final = 16
RATIO: Final = 16


def synthesise(n_frames: int) -> Iterator[LabelledStructure]:
    """Yield rattled copies of the bundled set's small frames, with their labels."""
    small = [i for i in load_replay().train if len(i.atoms) <= LARGEST]
    rng = np.random.default_rng(0)
    for number in range(n_frames):
        item = small[number % len(small)]
        atoms = item.atoms.copy()
        atoms.positions += rng.normal(0, 0.01, atoms.positions.shape)
        yield LabelledStructure("", atoms, item.label, "synthetic")


def make_target(n: int) -> list[LabelledStructure]:
    """Return labels of fire-mini itself on rattled LiCl."""
    crystal, model = build_crystal("LiCl"), load_backbone("fire-mini")
    frames = [crystal.copy() for _ in range(n)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.1, seed=seed)
    labels = model.predict(frames)
    return [
        LabelledStructure(structure_key(a), a, label, "fire-mini")
        for a, label in zip(frames, labels, strict=True)
    ]


def train(
    source: str, n_few: int, n_target: int, epochs: int, threads: int
) -> dict[str, Any]:
    """Train from a set; return its start, pace and memory."""
    backbone = load_backbone("fire-mini", threads=threads)
    target = make_target(n_target)
    config = TrainConfig(
        epochs=epochs,
        batch_frames=4,
        replay=ReplayConfig(source=source, ratio=RATIO),
    )
    begun = time.monotonic()
    data = load_replay_source(config.replay, backbone.elements).data
    replay = list(data.train[:n_few]) if n_few else data.train
    tuned = fine_tune(
        backbone, TrainingData(target, target[:4], replay, data.heldout), config, seed=0
    )
    spent = time.monotonic() - begun
    seconds = [record.seconds for record in tuned.records]
    frames = n_target * (1 + RATIO)
    return {
        "n_frames": len(replay),
        "start_s": round(spent - sum(seconds), 1),
        "frames_per_s": round(frames / statistics.median(seconds[1:]), 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def in_process(*arguments: object) -> dict[str, Any]:
    """Run `train` in a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.replay_scale", "--train"]
    done = subprocess.run(
        [*command, *map(str, arguments)], check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.replay_scale", description=__doc__
    )
    parser.add_argument("--frames", type=int, default=MILLION)
    parser.add_argument("--workdir", type=Path, help="keeps the set for another run")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="20,000 frames")
    parser.add_argument("--train", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        source, *numbers = arguments.train
        print(json.dumps(train(source, *map(int, numbers))))
        return
    n_frames = QUICK if arguments.quick else arguments.frames
    epochs = 3 if arguments.quick else 5
    n_target = QUICK_TARGET if arguments.quick else N_TARGET
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.workdir or Path(scratch)
        path = folder / f"synthetic-{n_frames}.lmdb"
        begun, indexed = time.monotonic(), None
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            build_index(synthesise(n_frames), path, theory="synthetic")
            indexed = round(time.monotonic() - begun, 1)
        size = path.stat().st_blocks * 512 / 2**20
        print(f"{n_frames} frames, {size:.0f} MiB, indexed in {indexed} s")
        runs = {
            name: in_process(path, n_few, n_target, epochs, arguments.threads)
            for name, n_few in (("list", RATIO * n_target), ("file", 0))
        }
    print(f"{'set':6}{'frames':>10}{'start, s':>10}{'frames/s':>10}{'peak, MiB':>11}")
    for name, run in runs.items():
        print(
            f"{name:6}{run['n_frames']:10}{run['start_s']:10}{run['frames_per_s']:10}"
            f"{run['peak_mib']:11}"
        )
    few, many = runs["list"], runs["file"]
    facts = {
        "n_frames": many["n_frames"],
        "index_s": indexed,
        "index_mib": round(size),
        "start_s": many["start_s"],
        "peak_mib": many["peak_mib"],
        "ratio": round(many["frames_per_s"] / few["frames_per_s"], 3),
        "few": few,
        "cores": os.cpu_count(),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
